"""Everything that the next training step depends on, as arrays: taken from a run, and put back into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking
from dlth_tf.errors import BadInput

Arrays = dict[str, np.ndarray]
OF_THE_NETWORK = ("weight", "mask", "ticket", "random")


def network_state(model: tf_keras.Model) -> Arrays:
    """Weights, running statistics, masks and tickets (packed), and the generators of dropout layers."""
    found = {f"weight/{name}": variable.numpy() for name, variable in masking.named_weights(model).items()}
    for name, entry in masking.prunable_weights(model).items():
        found[f"mask/{name}"] = np.packbits(entry.kept())
        found[f"ticket/{name}"] = np.packbits(entry.chosen())
    return {**found, **_numbered("random", _generators(model))}


def restore_network(model: tf_keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts back what `network_state` took.

    Raises:
      BadInput: the arrays are those of another network; nothing is changed then.
    """
    weights, entries = masking.named_weights(model), masking.prunable_weights(model)
    expected = {f"weight/{name}": tuple(variable.shape) for name, variable in weights.items()}
    expected |= {
        f"{kind}/{name}": (-(-entry.weight.shape.num_elements() // 8),)
        for name, entry in entries.items()
        for kind in ("mask", "ticket")
    }
    generators = _generators(model)
    expected |= {f"random/{number}": tuple(state.shape) for number, state in enumerate(generators)}
    given = {name: value.shape for name, value in arrays.items() if name.split("/")[0] in OF_THE_NETWORK}
    for name in sorted(expected.keys() | given.keys()):
        if given.get(name) != expected.get(name):
            raise BadInput("run_dir", name, "its checkpoint is not one of this network")
    for name, variable in weights.items():
        variable.assign(arrays[f"weight/{name}"])
    for name, entry in entries.items():
        entry.mask.assign(_unpacked(arrays[f"mask/{name}"], entry))
        entry.ticket.assign(_unpacked(arrays[f"ticket/{name}"], entry))
    _assign("random", generators, arrays)


def _unpacked(bits: np.ndarray, entry: masking.PrunableWeight) -> np.ndarray:
    return np.unpackbits(bits, count=entry.weight.shape.num_elements()).reshape(entry.shape)


def training_state(model: tf_keras.Model) -> Arrays:
    """What a training has beside the network: optimizer, what stands around its steps, and the running means of the epoch."""
    return {
        **_numbered("optimizer", _optimizer_variables(model)),
        **_numbered("change", _change_variables(model)),
        **_numbered("metric", _metric_variables(model)),
    }


def restore_training(model: tf_keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts back what `training_state` took, but the means of the epoch, into a compiled model whose hook is installed."""
    optimizer = masking.inner_optimizer(model)
    with model.distribute_strategy.scope():
        optimizer.build(model.trainable_variables)
    _assign("optimizer", _optimizer_variables(model), arrays)
    _assign("change", _change_variables(model), arrays)


def restore_means(model: tf_keras.Model, arrays: Mapping[str, np.ndarray], labels: tf.Tensor, classes: int) -> None:
    """Puts back the running means of loss and accuracy in the middle of an epoch (Keras resets them at its beginning).

    Args:
      model: compiled.
      arrays: what `training_state` took.
      labels: of one example, in the form that the batches have them (it decides which accuracy Keras takes).
      classes: number of logits.
    """
    with model.distribute_strategy.scope():
        logits = tf.zeros([1, classes], model.compute_dtype)
        if not model.compiled_metrics.built:
            model.compiled_loss.build(logits)
            model.compiled_metrics.build(logits, labels)
    _assign("metric", _metric_variables(model), arrays)


def _optimizer_variables(model: tf_keras.Model) -> list[tf.Variable]:
    found = [
        *model.optimizer.variables,
        *masking.inner_optimizer(model).variables,
    ]  # of LossScaleOptimizer, and inside it
    return list({id(variable): variable for variable in found}.values())


def _change_variables(model: tf_keras.Model) -> list[tf.Variable]:
    hook = masking.installed(model)
    updates = hook.updates.values() if hook else ()
    return [variable for update in updates if hasattr(update, "state") for variable in update.state()]


def _metric_variables(model: tf_keras.Model) -> list[tf.Variable]:
    return [variable for metric in model.metrics for variable in metric.variables]


def _generators(model: tf_keras.Model) -> list[tf.Variable]:
    """States of the random generators that dropout and the like draw from, those of layers inside layers too."""
    found = [getattr(getattr(layer, "_random_generator", None), "_generator", None) for layer in model.submodules]
    return [generator.state for generator in found if generator is not None]


def _numbered(kind: str, variables: Iterable[tf.Variable]) -> Arrays:
    return {f"{kind}/{number}": np.asarray(variable.numpy()) for number, variable in enumerate(variables)}


def _assign(kind: str, variables: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
    given = [name for name in arrays if name.startswith(f"{kind}/")]
    if len(given) != len(variables):
        raise BadInput("run_dir", kind, f"its checkpoint has {len(given)} such arrays, and this run {len(variables)}")
    for number, variable in enumerate(variables):
        if arrays[f"{kind}/{number}"].shape != tuple(variable.shape):
            raise BadInput("run_dir", f"{kind}/{number}", "its checkpoint is not one of this network")
        variable.assign(arrays[f"{kind}/{number}"])
