"""Multiply-adds (MACs) of training a network, dense and with its masks; kernels only."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.masking.structure.kernel_uses import kernel_uses
from dlth_tf.masking.world import installed, named_weights, prunable_weights

PASSES = 3  # forward, gradient by the inputs, gradient by the weights: each one MAC per weight and position
log = logging.getLogger("dlth_tf")


def kernel_positions(model: tf_keras.Model, image_shape: tuple[int, ...]) -> dict[str, int]:
    """Returns the number of output positions of each kernel for one image, summed over all its uses.

    Warns of kernels that it leaves out (see `counted_positions`).

    Args:
      model: A tf_keras model, wrapped or not.
      image_shape: Shape of one example, such as (height, width, channels).
    """
    positions, missing = counted_positions(model, image_shape)
    if missing:
        log.warning("%s: multiply-adds leave out %s, whose use is not understood", model.name, ", ".join(missing))
    return positions


def counted_positions(model: tf_keras.Model, image_shape: tuple[int, ...]) -> tuple[dict[str, int], list[str]]:
    """Returns the number of output positions of each kernel for one image, and the kernels that could not be counted.

    Reads the traced forward pass, so shared layers and subclassed models are counted correctly, and those of recurrent
    layers once for each step. A use counts as the multiply-adds that it needs, divided by the size of the kernel. Those
    whose number depends on the data, and operations that are not known, are not counted.

    Args:
      model: A tf_keras model, wrapped or not.
      image_shape: Shape of one example, such as (height, width, channels).

    Returns:
      Name -> positions, and names; weights with less than two axes and embeddings are in neither.
    """
    call = tf.function(lambda images: model(images, training=False))
    taken = model.inputs[0] if model.inputs else tf.nest.flatten(model.save_spec() or [tf.TensorSpec([None])])[0]
    batch = taken.shape[0] or 1
    graph = call.get_concrete_function(tf.TensorSpec((batch, *image_shape), taken.dtype)).graph
    copies = model.distribute_strategy.experimental_local_results  # one per replica; the graph captures one of them
    weights = {name: weight for name, weight in named_weights(model).items() if len(weight.shape) > 1}
    names = {id(copy.handle): name for name, weight in weights.items() for copy in copies(weight)}
    held = {inside.name: names[id(outside)] for outside, inside in graph.captures if id(outside) in names}
    uses = kernel_uses(graph, held, batch)
    sizes = {name: batch * int(np.prod(weights[name].shape)) for name in uses.macs}
    parts = {name for name, macs in uses.macs.items() if macs % sizes[name]}  # of which a part is used more often
    missing = uses.unknown | parts
    positions = {name: macs // sizes[name] for name, macs in uses.macs.items() if name not in missing}
    return positions, [name for name in weights if name in missing]


Densities = Mapping[str, tuple[float, float]]


def densities(
    model: tf_keras.Model, first: int = 0, last: int = 1, kept: Mapping[str, float] | None = None
) -> dict[str, tuple[float, float]]:
    """Returns (fraction kept, fraction of the gradient needed) of each prunable tensor, means over first <= t < last.

    Masks that change inside the training step provide their own numbers (`MaskUpdate.densities`); for all others it is
    the present mask.

    Args:
      model: A wrapped tf_keras model.
      first: First step.
      last: Step after the last one.
      kept: Fraction of each tensor that its present mask keeps, if it is known; otherwise the masks are read.
    """
    hook = installed(model)
    updates = {id(update.variable): update for update in hook.updates.values()} if hook else {}
    if kept is not None and not updates:
        return {name: (now, now) for name, now in kept.items()}
    means = {}
    for name, entry in prunable_weights(model).items():
        now = float(entry.kept().mean())
        update = updates.get(id(entry.weight))
        means[name] = (now, now) if update is None else update.densities(first, last)
    return means


def training_macs(model: tf_keras.Model, positions: Mapping[str, int], density: Densities) -> tuple[int, float]:
    """Returns the multiply-adds of training on one image: (dense, counting only those that are needed).

    The forward pass and the gradient with respect to the inputs need the weights that are kept; the gradient with
    respect to the weights needs those whose gradient is used: all of them where the method uses it (RigL at its
    updates, straight-through always).

    Args:
      model: A tf_keras model.
      positions: Output positions of each kernel, from `kernel_positions`.
      density: Densities of the prunable tensors, from `densities`; tensors that it does not name count as dense.
    """
    dense = _dense_macs(model, positions)
    needed = {name: density.get(name, (1.0, 1.0)) for name in dense}
    return PASSES * sum(dense.values()), sum(
        (2 * needed[name][0] + needed[name][1]) * macs for name, macs in dense.items()
    )


def _dense_macs(model: tf_keras.Model, positions: Mapping[str, int]) -> dict[str, int]:
    weights = named_weights(model)
    return {name: int(np.prod(weights[name].shape)) * times for name, times in positions.items()}
