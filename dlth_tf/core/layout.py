"""Layout: which axes of a weight tensor are inputs and which are outputs.

Every tensor is seen as four axes, [positions, parts, inputs, outputs]: an output of part g sums over all positions and over
the inputs of part g. Only a depthwise kernel has several parts, one per channel.

    kernel        [*spatial, in, out]     -> [spatial, 1, in, out]      Dense, Conv, Embedding, recurrent kernels
    transposed    [*spatial, out, in]     -> [spatial, 1, in, out]      Conv2DTranspose, Conv3DTranspose
    depthwise     [*spatial, in, times]   -> [spatial, in, 1, times]    DepthwiseConv
    projection    [in, heads, size]       -> [1, 1, in, heads * size]   query, key and value of MultiHeadAttention
"""

from __future__ import annotations

import math

import numpy as np

LAYOUTS = ("kernel", "transposed", "depthwise", "projection")
_PROJECTIONS = ("query/kernel", "key/kernel", "value/kernel")


def layout_of(name: str, shape: tuple[int, ...]) -> str:
    """The layout that the name of a weight tells; a transposed kernel has no name of its own, its layer must tell.

    >>> layout_of("conv1/kernel", (3, 3, 8, 16)), layout_of("mha/query/kernel", (6, 2, 3))
    ('kernel', 'projection')
    """
    if name.endswith("depthwise_kernel"):
        return "depthwise"
    inside_attention = len(shape) == 3 and name.count("/") > 1 and name.endswith(_PROJECTIONS)
    return "projection" if inside_attention else "kernel"


def four_axes(shape: tuple[int, ...], layout: str = "kernel") -> tuple[int, int, int, int]:
    """The lengths of [positions, parts, inputs, outputs]; a vector has one input.

    >>> four_axes((3, 3, 8, 16)), four_axes((3, 3, 8, 2), "depthwise"), four_axes((3, 3, 16, 8), "transposed")
    ((9, 1, 8, 16), (9, 8, 1, 2), (9, 1, 8, 16))
    """
    if layout == "projection":
        return 1, 1, shape[0], math.prod(shape[1:])
    *spatial, inner, last = (1, 1, *shape)
    positions = math.prod(spatial)
    if layout == "depthwise":
        return positions, inner, 1, last
    return (positions, 1, last, inner) if layout == "transposed" else (positions, 1, inner, last)


def as_four_axes(array: np.ndarray, layout: str = "kernel") -> np.ndarray:
    """The array as [positions, parts, inputs, outputs]."""
    positions, parts, inputs, outputs = four_axes(array.shape, layout)
    if layout == "transposed":
        return array.reshape(positions, parts, outputs, inputs).swapaxes(2, 3)
    return array.reshape(positions, parts, inputs, outputs)


def from_four_axes(array: np.ndarray, shape: tuple[int, ...], layout: str = "kernel") -> np.ndarray:
    """The way back: `from_four_axes(as_four_axes(a, layout), a.shape, layout)` is `a`."""
    return (array.swapaxes(2, 3) if layout == "transposed" else array).reshape(shape)
