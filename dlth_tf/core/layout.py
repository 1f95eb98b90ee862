"""Layout: which axes of a weight tensor are inputs and which are outputs.

Every tensor is viewed as four axes, [positions, parts, inputs, outputs]: an output of part g sums over all positions
and over the inputs of part g. Only a depthwise kernel has several parts, one per channel.

    kernel        [*spatial, in, out]     -> [spatial, 1, in, out]      Dense, Conv, Embedding, recurrent kernels
    transposed    [*spatial, out, in]     -> [spatial, 1, in, out]      Conv2DTranspose, Conv3DTranspose
    depthwise     [*spatial, in, times]   -> [spatial, in, 1, times]    DepthwiseConv
    projection    [in, heads, size]       -> [1, 1, in, heads * size]   query, key and value of MultiHeadAttention
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dlth_tf.core.groups import Shape
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import store, whole_numbers

LAYOUTS = ("kernel", "transposed", "depthwise", "projection")
_PROJECTIONS = ("query/kernel", "key/kernel", "value/kernel")


@dataclass(frozen=True)
class Tensor:
    """Shape and layout of a weight tensor.

    Attributes:
      shape: Shape of the weight.
      layout: One of LAYOUTS.

    Raises:
      BadInput: If the layout is unknown, or the shape does not consist of whole numbers.
    """

    shape: Shape
    layout: str = "kernel"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise BadInput("layout", self.layout, f"must be one of {', '.join(LAYOUTS)}")
        store(self, shape=whole_numbers("shape", self.shape))


def as_tensors(tensors: Mapping[str, Shape | Tensor]) -> dict[str, Tensor]:
    """Returns every tensor with its layout; of a bare shape the tensor's name decides it."""
    return {
        name: entry if isinstance(entry, Tensor) else Tensor(tuple(entry), layout_of(name, tuple(entry)))
        for name, entry in tensors.items()
    }


def layout_of(name: str, shape: tuple[int, ...]) -> str:
    """Returns the layout that a tensor's name implies.

    A transposed kernel has no name of its own, so its layer must decide.

    >>> layout_of("conv1/kernel", (3, 3, 8, 16)), layout_of("mha/query/kernel", (6, 2, 3))
    ('kernel', 'projection')
    """
    if name.endswith("depthwise_kernel"):
        return "depthwise"
    inside_attention = len(shape) == 3 and name.count("/") > 1 and name.endswith(_PROJECTIONS)
    return "projection" if inside_attention else "kernel"


def four_axes(shape: tuple[int, ...], layout: str = "kernel") -> tuple[int, int, int, int]:
    """Returns the lengths of [positions, parts, inputs, outputs]; a vector has one input.

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
    """Returns the array as [positions, parts, inputs, outputs]."""
    positions, parts, inputs, outputs = four_axes(array.shape, layout)
    if layout == "transposed":
        return array.reshape(positions, parts, outputs, inputs).swapaxes(2, 3)
    return array.reshape(positions, parts, inputs, outputs)


def from_four_axes(array: np.ndarray, shape: tuple[int, ...], layout: str = "kernel") -> np.ndarray:
    """Inverts `as_four_axes`: `from_four_axes(as_four_axes(a, layout), a.shape, layout)` is `a`."""
    return (array.swapaxes(2, 3) if layout == "transposed" else array).reshape(shape)
