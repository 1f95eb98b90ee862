"""Multiply-adds of a network, dense and with its masks: 1 multiply-add = 1 MAC, kernels only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from dlth_tf import masking

PASSES = 3  # forward, gradient by the inputs, gradient by the weights: each one MAC per weight and position
KERNEL_OPERATIONS = ("Conv2D", "Conv3D", "MatMul", "BatchMatMulV2", "DepthwiseConv2dNative")
PASSED_THROUGH = ("ReadVariableOp", "Cast", "Identity", "Reshape", "ExpandDims")


def kernel_positions(model: tf.keras.Model, image_shape: tuple[int, ...]) -> dict[str, int]:
    """How often each kernel is applied to one image: kernel name -> output positions, over all its uses.

    Read off the traced forward pass, so shared layers and subclassed models count right. Kernels inside loops
    (recurrent layers) are not seen.
    """
    call = tf.function(lambda images: model(images, training=False))
    graph = call.get_concrete_function(tf.TensorSpec((1, *image_shape), model.inputs[0].dtype if model.inputs else tf.float32)).graph
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


def densities(model: tf.keras.Model) -> dict[str, float]:
    """The fraction of each prunable tensor that the masks keep now."""
    return {name: float(entry.kept().mean()) for name, entry in masking.prunable_weights(model).items()}


def forward_macs(model: tf.keras.Model, positions: dict[str, int], density: Mapping[str, float] | None = None) -> tuple[int, int]:
    """Multiply-adds of one image's forward pass: (dense, counting only the weights that are kept, by default now)."""
    weights = masking.named_weights(model)
    kept = densities(model) if density is None else density
    dense = {name: int(np.prod(weights[name].shape)) * times for name, times in positions.items()}
    sparse = {name: round(kept.get(name, 1.0) * macs) for name, macs in dense.items()}
    return sum(dense.values()), sum(sparse.values())
