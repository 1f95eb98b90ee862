"""What a run asks of several replicas: that they hold the same network, and that all workers do the same thing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking
from dlth_tf.runs.config import RunConfig


def check_same(model: tf_keras.Model) -> None:
    """Sees that weights, masks, tickets and the optimizer's variables are the same on all replicas, bit for bit.

    The running statistics of batch norm are left out: each replica has its own (TensorFlow reads their mean).

    Raises:
      RuntimeError: they are not; the tensor is named.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return
    digests = [(name, _digests(strategy, variable)) for name, variable in mirrored_variables(model)]
    for name, found in digests:
        if len(set(found)) > 1:
            raise RuntimeError(f"the replicas do not hold the same {name} any more")
    if is_multi_worker(strategy):
        everywhere = gathered(np.array([found[0] for _, found in digests]))
        for (name, _), column in zip(digests, everywhere.T, strict=True):
            if len(set(column.tolist())) > 1:
                raise RuntimeError(f"the workers do not hold the same {name} any more")


def mirrored_variables(model: tf_keras.Model) -> Iterator[tuple[str, Any]]:
    """(name, variable) of all that the replicas must have in common."""
    for name, variable in masking.named_weights(model).items():
        if variable.synchronization != tf.VariableSynchronization.ON_READ:
            yield f"weight {name}", variable
    for name, entry in masking.prunable_weights(model).items():
        yield f"mask of {name}", entry.mask
        yield f"ticket of {name}", entry.ticket
    if getattr(model, "optimizer", None) is not None:
        found = [
            *model.optimizer.variables,
            *masking.inner_optimizer(model).variables,
        ]  # of LossScaleOptimizer, and inside it
        for variable in {id(variable): variable for variable in found}.values():
            yield f"optimizer variable {variable.name.split(':')[0]}", variable


def _digests(strategy: tf.distribute.Strategy, variable: Any) -> list[int]:
    """The first 63 bits of the SHA-256 of every copy in this process."""
    copies = strategy.experimental_local_results(variable)
    return [int.from_bytes(hashlib.sha256(copy.numpy().tobytes()).digest()[:8], "big") >> 1 for copy in copies]


def gathered(values: np.ndarray) -> np.ndarray:
    """int64[replicas, n]: the int64[n] of every worker, once for each of its replicas."""
    strategy = tf.distribute.get_strategy()
    rows = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(values[None], tf.int64))
    return strategy.gather(rows, axis=0).numpy()


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether other processes train the same network."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """For each wish whether any worker has it, so that all do the same; waits until all workers ask."""
    if not is_multi_worker(tf.distribute.get_strategy()):
        return wishes
    return tuple(bool(most) for most in gathered(np.array(wishes, np.int64)).max(axis=0))


def wait_for_all() -> None:
    """Goes on when all workers are here."""
    agreed(False)


def log_what_differs(model: tf_keras.Model, config: RunConfig) -> None:
    """Says in the log what several replicas change."""
    replicas, log = tf.distribute.get_strategy().num_replicas_in_sync, logging.getLogger("dlth_tf")
    if replicas == 1:
        return
    if config.scale_lr:
        log.info("learning rates are multiplied by %d, the number of replicas", replicas)
    if any(
        isinstance(layer, tf_keras.layers.BatchNormalization) and not layer.synchronized for layer in unwrapped(model)
    ):
        log.info(
            "batch norm takes its statistics from the part of the batch that each of the %d replicas has, so results differ from those "
            "of one device; those of the networks with norm=sync_batch do not",
            replicas,
        )


def unwrapped(model: tf_keras.Model) -> Iterator[Any]:
    """The layers of the network itself."""
    for layer in masking.leaf_layers(model):
        yield layer.layer if isinstance(layer, masking.MaskedLayer) else layer


def rate_factor(config: RunConfig) -> float:
    """What --scale_lr multiplies learning rates with."""
    return float(tf.distribute.get_strategy().num_replicas_in_sync) if config.scale_lr else 1.0
