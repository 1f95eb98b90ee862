"""Rounds the kernels of a frozen graph to fewer bits; computation stays in float32.

float16 and bfloat16 are numbers of float32 whose last bits are zero, and zeros take no space when packed. int8 are
whole numbers from -127 to 127 that are multiplied by one scale for each output channel when the model is loaded:
symmetric quantization per channel (Krishnamoorthi, 2018, "Quantizing deep convolutional networks for efficient
inference").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from dlth_tf.deploy.savedmodel.frozen_graph import Frozen, node_of
from dlth_tf.errors import BadInput

LARGEST = 127  # of int8; -128 is left out, so that the range is symmetric
SHORT = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(tf.bfloat16.as_numpy_dtype)}
TRANSPOSED = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")  # their kernels end in [outputs, inputs]
# By which a number meets those of the examples one to one, or becomes another one that does.
ARITHMETIC = frozenset(
    {"Add", "AddV2", "Sub", "Mul", "RealDiv", "DivNoNan", "Maximum", "Minimum", "SquaredDifference"}
    | {"Sqrt", "Rsqrt", "Square", "Reciprocal", "Neg", "Reshape", "ExpandDims", "Cast"}
)


@dataclass(frozen=True)
class Scales:
    """The scales of a tensor of int8: number i belongs to channel i // inner % len(values).

    Attributes:
      values: float32[channels]: Factor of each output channel.
      inner: Numbers from one channel to the next.
    """

    values: np.ndarray
    inner: int = 1


def round_kernels(frozen: Frozen, values: str) -> dict[str, Scales]:
    """Rounds float32 kernels in place, and biases to float16 or bfloat16.

    All other numbers stay as they are: vectors, scalars, and arrays that are subtracted, added, multiplied or divided
    by, such as the mean and the variance of the preprocessing, whose range is that of the data.

    Args:
      frozen: Graph of the network.
      values: "float16", "bfloat16" or "int8".

    Returns:
      Name of a constant -> its scales, for the constants that are int8 now.

    Raises:
      BadInput: If a number exceeds the range, or there is no float32 kernel to round.
    """
    readers = {name: (node, place) for node in frozen.nodes.values() for place, name in enumerate(node.input)}
    biases = {name for name, (node, _) in readers.items() if node.op == "BiasAdd"}
    scales: dict[str, Scales] = {}
    multiplied = _multiplied(frozen)
    kernels = 0
    for name, value in frozen.constants.items():
        if value.dtype != np.float32 or name not in (multiplied if value.ndim > 1 else biases):
            continue
        kernels += value.ndim > 1
        if values != "int8":
            frozen.constants[name] = rounded(name, value, values)
        elif value.ndim > 1:
            channels, inner = _output_channels(value.shape, *readers.get(name, (NodeDef(), 0)))
            if value.size > 4 * channels:  # otherwise, the scales would take more than the rounding saves
                frozen.constants[name], scales[name] = quantized(name, value, channels, inner)
    if not kernels:
        raise BadInput("values", values, "rounds float32 weights, and this network has none")
    return scales


def _multiplied(frozen: Frozen) -> set[str]:
    """Returns the names of constants that not only ARITHMETIC brings together with the examples.

    Args:
      frozen: Graph of the network.
    """
    live = set(frozen.inputs.values())
    for name, node in frozen.nodes.items():
        if any(node_of(source) in live for source in node.input):
            live.add(name)
    found = {node_of(tensor) for tensor in frozen.outputs.values()}
    for name, node in reversed(frozen.nodes.items()):
        if node.op not in ARITHMETIC or (name in found and name not in live):
            found |= {node_of(source) for source in node.input}
    return found


def rounded(name: str, value: np.ndarray, values: str) -> np.ndarray:
    """Rounds float32 numbers to the nearest ones that float16 or bfloat16 can represent.

    Args:
      name: Name of the tensor, for the error message.
      value: float32 array.
      values: "float16" or "bfloat16".

    Returns:
      float32 array of the same shape.

    Raises:
      BadInput: If a number exceeds the range.
    """
    with np.errstate(over="ignore"):
        short = value.astype(SHORT[values]).astype(np.float32)
    if np.any(np.isinf(short) & np.isfinite(value)):
        largest = np.max(np.abs(value[np.isfinite(value)]))
        raise BadInput("values", values, f"cannot represent {largest:g}, the largest magnitude in {name}")
    return short


def quantized(name: str, value: np.ndarray, channels: int, inner: int = 1) -> tuple[np.ndarray, Scales]:
    """Rounds a tensor to int8 with one scale for each channel, of which the largest magnitude becomes 127.

    Args:
      name: Name of the tensor, for the error message.
      value: float32 array.
      channels: Number of output channels.
      inner: Numbers from one channel to the next.

    Returns:
      int8 array of the same shape, and its scales; zeros stay zeros.

    Raises:
      BadInput: If a number is not finite.
    """
    if not np.isfinite(value).all():
        raise BadInput("values", "int8", f"cannot represent infinite or undefined numbers, which {name} contains")
    by_channel = value.reshape(-1, channels, inner)
    largest = np.abs(by_channel).max((0, 2)).astype(np.float64)
    scale = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    whole = np.rint(by_channel / scale[:, None].astype(np.float64)).clip(-LARGEST, LARGEST)
    return whole.astype(np.int8).reshape(value.shape), Scales(scale, inner)


def _output_channels(shape: tuple[int, ...], reader: NodeDef, place: int) -> tuple[int, int]:
    """Returns the number of output channels of a kernel, and the distance of one from the next."""
    if place == 1 and reader.op == "DepthwiseConv2dNative":
        return shape[-2] * shape[-1], 1
    if place == 1 and (reader.op in TRANSPOSED or (reader.op == "MatMul" and reader.attr["transpose_b"].b)):
        return shape[-2], shape[-1]
    return shape[-1], 1


def flat(places: Mapping[int, Scales]) -> tuple[np.ndarray, np.ndarray]:
    """Lays out the scales of several tensors one after another.

    Args:
      places: Start of a tensor in its vector -> its scales, in ascending order.

    Returns:
      table: int64[tensors, 4]: Start of the tensor, distance of its channels, their number, index of the first scale.
      scales: float32[sum of channels].
    """
    counts = [len(scales.values) for scales in places.values()]
    first = np.cumsum([0, *counts[:-1]])
    rows = [
        (start, scales.inner, count, index)
        for (start, scales), count, index in zip(places.items(), counts, first, strict=True)
    ]
    return np.array(rows, np.int64), np.concatenate([scales.values for scales in places.values()])
