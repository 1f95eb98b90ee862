"""Checks that the replicas of a run agree, and coordinates its workers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking


def check_same(model: tf_keras.Model) -> None:
    """Checks that weights, masks, tickets and the optimizer's variables are equal on all replicas, bit for bit.

    The running statistics of batch norm are excluded: each replica has its own (TensorFlow reads their mean).

    Raises:
      RuntimeError: If a tensor differs; it is named.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return
    digests = [(name, _digests(strategy, variable)) for name, variable in mirrored_variables(model)]
    for name, copies in digests:
        if len(set(copies)) > 1:
            raise RuntimeError(f"replicas have diverged: {name} differs")
    if is_multi_worker(strategy):
        everywhere = gathered(np.array([copies[0] for _, copies in digests]))
        for (name, _), column in zip(digests, everywhere.T, strict=True):
            if len(set(column.tolist())) > 1:
                raise RuntimeError(f"workers have diverged: {name} differs")


def mirrored_variables(model: tf_keras.Model) -> Iterator[tuple[str, Any]]:
    """Yields (name, variable) of everything that must be equal on all replicas."""
    for name, variable in masking.named_weights(model).items():
        if variable.synchronization != tf.VariableSynchronization.ON_READ:
            yield f"weight {name}", variable
    for name, entry in masking.prunable_weights(model).items():
        yield f"mask of {name}", entry.mask
        yield f"ticket of {name}", entry.ticket
    if getattr(model, "optimizer", None) is not None:
        # Those of a LossScaleOptimizer and those of the optimizer inside it, each once.
        variables = [*model.optimizer.variables, *masking.inner_optimizer(model).variables]
        for variable in {id(variable): variable for variable in variables}.values():
            yield f"optimizer variable {variable.name.split(':')[0]}", variable


def _digests(strategy: tf.distribute.Strategy, variable: Any) -> list[int]:
    """The first 63 bits of the SHA-256 of every copy in this process."""
    copies = strategy.experimental_local_results(variable)
    return [int.from_bytes(hashlib.sha256(copy.numpy().tobytes()).digest()[:8], "big") >> 1 for copy in copies]


def gathered(values: np.ndarray) -> np.ndarray:
    """Returns int64 [replicas, n]: the int64 [n] of every worker, repeated for each of its replicas."""
    strategy = tf.distribute.get_strategy()
    rows = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(values[None], tf.int64))
    return strategy.gather(rows, axis=0).numpy()


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether other processes train the same network."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """Returns for each wish whether any worker has it, so that all act alike; waits for all workers."""
    if not is_multi_worker(tf.distribute.get_strategy()):
        return wishes
    return tuple(bool(most) for most in gathered(np.array(wishes, np.int64)).max(axis=0))


def wait_for_all() -> None:
    """Waits until all workers have called it."""
    agreed(False)


def log_what_differs(model: tf_keras.Model, scale_lr: bool) -> None:
    """Logs how the results of several replicas differ from those of one device.

    Args:
      model: The network.
      scale_lr: Whether the learning rates are multiplied by the number of replicas.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    log = logging.getLogger("dlth_tf")
    if replicas == 1:
        return
    if scale_lr:
        log.info("learning rates are multiplied by %d, the number of replicas", replicas)
    if any(
        isinstance(layer, tf_keras.layers.BatchNormalization) and not layer.synchronized for layer in unwrapped(model)
    ):
        log.info(
            "batch norm computes its statistics on each replica's part of the batch (%d replicas), so results differ "
            "from those of one device; with the model argument norm=sync_batch they do not",
            replicas,
        )


def unwrapped(model: tf_keras.Model) -> Iterator[Any]:
    """Yields the layers of the network without their wrappers."""
    for layer in masking.leaf_layers(model):
        yield layer.layer if isinstance(layer, masking.MaskedLayer) else layer


def rate_factor(scale_lr: bool) -> float:
    """Returns the factor of all learning rates: the number of replicas with --scale_lr, otherwise 1."""
    return float(tf.distribute.get_strategy().num_replicas_in_sync) if scale_lr else 1.0
