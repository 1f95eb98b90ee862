"""Multiply-adds (MACs) of training a network, dense and with its masks; kernels only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.masking.world import installed, named_weights, prunable_weights

PASSES = 3  # forward, gradient by the inputs, gradient by the weights: each one MAC per weight and position
KERNEL_OPERATIONS = ("Conv2D", "Conv3D", "MatMul", "BatchMatMulV2", "DepthwiseConv2dNative")
PASSED_THROUGH = ("ReadVariableOp", "Cast", "Identity", "Reshape", "ExpandDims")


def kernel_positions(model: tf_keras.Model, image_shape: tuple[int, ...]) -> dict[str, int]:
    """Returns the number of output positions of each kernel for one image, summed over all its uses.

    Reads the traced forward pass, so shared layers and subclassed models are counted correctly. Kernels inside loops
    (recurrent layers), and those whose number of positions depends on the data, are not counted.

    Args:
      model: A tf_keras model, wrapped or not.
      image_shape: Shape of one example, such as (height, width, channels).
    """
    call = tf.function(lambda images: model(images, training=False))
    taken = model.inputs[0] if model.inputs else tf.nest.flatten(model.save_spec() or [tf.TensorSpec([None])])[0]
    batch = taken.shape[0] or 1
    graph = call.get_concrete_function(tf.TensorSpec((batch, *image_shape), taken.dtype)).graph
    handles = {id(inside): outside for outside, inside in graph.captures}
    copies = model.distribute_strategy.experimental_local_results  # one per replica; the graph captures one of them
    names = {id(copy.handle): name for name, weight in named_weights(model).items() for copy in copies(weight)}
    positions: Counter[str] = Counter()
    for operation in graph.get_operations():
        if operation.type not in KERNEL_OPERATIONS:
            continue
        source = operation.inputs[1]
        while source.op.type in PASSED_THROUGH:
            source = source.op.inputs[0]
        name = names.get(id(handles.get(id(source))))
        if name is not None:
            first, *others = operation.outputs[0].shape[:-1]
            if None not in others:
                positions[name] += int(np.prod([first or batch, *others])) // batch
    return dict(positions)


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
