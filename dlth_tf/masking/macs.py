"""Multiply-adds of a network, dense and with its masks: 1 multiply-add = 1 MAC, kernels only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking

PASSES = 3  # forward, gradient by the inputs, gradient by the weights: each one MAC per weight and position
KERNEL_OPERATIONS = ("Conv2D", "Conv3D", "MatMul", "BatchMatMulV2", "DepthwiseConv2dNative")
PASSED_THROUGH = ("ReadVariableOp", "Cast", "Identity", "Reshape", "ExpandDims")


def kernel_positions(model: tf_keras.Model, image_shape: tuple[int, ...]) -> dict[str, int]:
    """How often each kernel is applied to one image: kernel name -> output positions, over all its uses.

    Read off the traced forward pass, so shared layers and subclassed models count right. Kernels inside loops
    (recurrent layers) are not seen.
    """
    call = tf.function(lambda images: model(images, training=False))
    graph = call.get_concrete_function(
        tf.TensorSpec((1, *image_shape), model.inputs[0].dtype if model.inputs else tf.float32)
    ).graph
    handles = {id(inside): outside for outside, inside in graph.captures}
    copies = model.distribute_strategy.experimental_local_results  # one per replica; the graph captures one of them
    names = {id(copy.handle): name for name, weight in masking.named_weights(model).items() for copy in copies(weight)}
    positions: Counter[str] = Counter()
    for operation in graph.get_operations():
        if operation.type not in KERNEL_OPERATIONS:
            continue
        source = operation.inputs[1]
        while source.op.type in PASSED_THROUGH:
            source = source.op.inputs[0]
        name = names.get(id(handles.get(id(source))))
        if name is not None:
            shape = operation.outputs[0].shape
            positions[name] += int(np.prod(shape[:-1]))
    return dict(positions)


Densities = Mapping[str, tuple[float, float]]


def densities(model: tf_keras.Model, first: int = 0, last: int = 1) -> dict[str, tuple[float, float]]:
    """Of each prunable tensor, the mean over the steps first <= t < last: (fraction kept, fraction of its gradient that is needed).

    Masks that change inside the training step say so themselves (`masking.changing`); of all others it is what they keep now.
    """
    hook = masking.installed(model)
    changes = {id(change.variable): change for change in hook.changes.values()} if hook else {}
    found = {}
    for name, entry in masking.prunable_weights(model).items():
        now = float(entry.kept().mean())
        change = changes.get(id(entry.weight))
        found[name] = (now, now) if change is None else change.densities(first, last)
    return found


def forward_macs(
    model: tf_keras.Model, positions: Mapping[str, int], density: Mapping[str, float] | None = None
) -> tuple[int, int]:
    """Multiply-adds of one image's forward pass: (dense, counting only the weights that are kept, by default now)."""
    kept = {name: now for name, (now, _) in densities(model).items()} if density is None else density
    dense = _dense_macs(model, positions)
    return sum(dense.values()), sum(round(kept.get(name, 1.0) * macs) for name, macs in dense.items())


def training_macs(model: tf_keras.Model, positions: Mapping[str, int], density: Densities) -> tuple[int, float]:
    """Multiply-adds of training on one image: (dense, counting only what is needed).

    Forward pass and gradient by the inputs take the weights that are kept; the gradient by the weights takes those whose
    gradient is needed: all of them where the method looks at it (RigL at its exchanges, straight-through always).
    """
    dense = _dense_macs(model, positions)
    needed = {name: density.get(name, (1.0, 1.0)) for name in dense}
    return PASSES * sum(dense.values()), sum(
        (2 * needed[name][0] + needed[name][1]) * macs for name, macs in dense.items()
    )


def _dense_macs(model: tf_keras.Model, positions: Mapping[str, int]) -> dict[str, int]:
    weights = masking.named_weights(model)
    return {name: int(np.prod(weights[name].shape)) * times for name, times in positions.items()}
