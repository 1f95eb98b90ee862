"""Everything that the next training step depends on, as arrays: captured from a run, and restored into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.execution import random_states
from dlth_tf.methods import Network

Arrays = dict[str, np.ndarray]
OF_THE_NETWORK = ("weight", "mask", "ticket", "random")
COPIES = 8  # weights, rewound weights and slots of the optimizer, in twice their width, and the state of callbacks
ROOM = 64 * 2**20  # bytes beyond the arrays of the size of weights


def network_state(model: tf_keras.Model) -> Arrays:
    """Returns weights, running statistics, masks and tickets (packed), and the generators of dropout layers."""
    arrays = {f"weight/{name}": variable.numpy() for name, variable in masking.named_weights(model).items()}
    for name, entry in masking.prunable_weights(model).items():
        arrays[f"mask/{name}"] = np.packbits(entry.kept())
        arrays[f"ticket/{name}"] = np.packbits(entry.chosen())
    return {**arrays, **_numbered("random", random_states(model))}


def most_bytes(weights: Mapping[str, np.ndarray]) -> int:
    """Returns the most bytes that the whole state of a network with these weights can have in a file."""
    return COPIES * sum(value.nbytes for value in weights.values()) + ROOM


def restore_network(model: tf_keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Restores what `network_state` returned; other arrays are ignored.

    Raises:
      BadInput: If the arrays belong to another network; nothing has been changed then.
    """
    weights = masking.named_weights(model)
    entries = masking.prunable_weights(model)
    generators = random_states(model)
    expected = {f"weight/{name}": tuple(variable.shape) for name, variable in weights.items()}
    expected |= {
        f"{kind}/{name}": (-(-entry.weight.shape.num_elements() // 8),)
        for name, entry in entries.items()
        for kind in ("mask", "ticket")
    }
    expected |= {f"random/{number}": tuple(state.shape) for number, state in enumerate(generators)}
    shapes = {name: value.shape for name, value in arrays.items() if name.split("/")[0] in OF_THE_NETWORK}
    for name in sorted(expected.keys() | shapes.keys()):
        if shapes.get(name) != expected.get(name):
            raise _other_shape(name, shapes.get(name), expected.get(name))
    for name, variable in weights.items():
        variable.assign(arrays[f"weight/{name}"])
    for name, entry in entries.items():
        entry.mask.assign(_unpacked(arrays[f"mask/{name}"], entry))
        entry.ticket.assign(_unpacked(arrays[f"ticket/{name}"], entry))
    _assign("random", generators, arrays)


def _unpacked(bits: np.ndarray, entry: masking.PrunableWeight) -> np.ndarray:
    return np.unpackbits(bits, count=entry.weight.shape.num_elements()).reshape(entry.shape)


def rewind_state(network: Network) -> Arrays:
    """Returns the weights that rewinding restores, if they are not the initial ones of the run."""
    if not network.initial_changed:
        return {}
    return {f"initial/{name}": value for name, value in network.initial.items()}


def restore_rewind(network: Network, arrays: Mapping[str, np.ndarray]) -> None:
    """Restores what `rewind_state` returned for weights that are not the initial ones of the run."""
    start = "initial/"
    network.initial = {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
    network.initial_changed = True


def training_state(model: tf_keras.Model) -> Arrays:
    """Returns the optimizer's variables, the state of mask updates, and the running means of the epoch."""
    return {
        **_numbered("optimizer", _optimizer_variables(model)),
        **_numbered("change", _change_variables(model)),
        **_numbered("metric", _metric_variables(model)),
    }


def build_training(model: tf_keras.Model, labels: tf.Tensor, classes: int) -> None:
    """Creates the variables of optimizer, loss and metrics.

    Keras would create them while it traces the first step, and trace that step a second time without creating any.

    Args:
      model: A compiled model.
      labels: Labels of one example in the form of the batches, which decides the accuracy metric that Keras uses.
      classes: Number of logits.
    """
    _build_optimizer(model)
    with model.distribute_strategy.scope():
        logits = tf.zeros([1, classes], model.compute_dtype)
        model.compiled_loss.build(logits)
        model.compiled_metrics.build(logits, labels)


def restore_training(model: tf_keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Restores what `training_state` returned, except the means of the epoch.

    Args:
      model: A compiled model with its hook installed.
      arrays: The arrays of `training_state`; others are ignored.
    """
    _build_optimizer(model)
    _assign("optimizer", _optimizer_variables(model), arrays)
    _assign("change", _change_variables(model), arrays)


def restore_means(model: tf_keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Restores the running means of loss and accuracy in the middle of an epoch, at whose beginning Keras resets them.

    Args:
      model: A model whose metrics are built.
      arrays: The arrays of `training_state`; others are ignored.
    """
    _assign("metric", _metric_variables(model), arrays)


def _build_optimizer(model: tf_keras.Model) -> None:
    with model.distribute_strategy.scope():
        masking.inner_optimizer(model).build(model.trainable_variables)


def _optimizer_variables(model: tf_keras.Model) -> list[tf.Variable]:
    """The variables of a LossScaleOptimizer and those of the optimizer inside it, each once."""
    variables = [*model.optimizer.variables, *masking.inner_optimizer(model).variables]
    return list({id(variable): variable for variable in variables}.values())


def _change_variables(model: tf_keras.Model) -> list[tf.Variable]:
    hook = masking.installed(model)
    updates = hook.updates.values() if hook else ()
    return [variable for update in updates if hasattr(update, "state") for variable in update.state()]


def _metric_variables(model: tf_keras.Model) -> list[tf.Variable]:
    return [variable for metric in model.metrics for variable in metric.variables]


def _numbered(kind: str, variables: Iterable[tf.Variable]) -> Arrays:
    return {f"{kind}/{number}": np.asarray(variable.numpy()) for number, variable in enumerate(variables)}


def _assign(kind: str, variables: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
    count = sum(name.startswith(f"{kind}/") for name in arrays)
    if count != len(variables):
        raise BadInput("run_dir", kind, f"its checkpoint has {count} such arrays, but this run has {len(variables)}")
    for number, variable in enumerate(variables):
        if arrays[f"{kind}/{number}"].shape != tuple(variable.shape):
            raise _other_shape(f"{kind}/{number}", arrays[f"{kind}/{number}"].shape, tuple(variable.shape))
        variable.assign(arrays[f"{kind}/{number}"])


def _other_shape(name: str, saved: tuple[int, ...] | None, mine: tuple[int, ...] | None) -> BadInput:
    there, here = ("no such array" if shape is None else f"the shape {list(shape)}" for shape in (saved, mine))
    return BadInput("run_dir", name, f"its checkpoint does not fit this network: {there} there and {here} here")
