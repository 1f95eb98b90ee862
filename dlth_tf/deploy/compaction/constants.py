"""Finds channels that have the same value for every input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.library import library_of
from dlth_tf.deploy.compaction.slots import spread, within

UNIFORM = 0  # the pattern of channels with the same value at every position


@dataclass(frozen=True)
class Constants:
    """The constant channels of a tensor.

    A removed filter is not nothing: batch norm and bias turn it into a constant. Zero padding turns that into a
    pattern: the constant inside and 0 at the border. Channels of one tensor with the same pattern are multiples of each
    other.

    Attributes:
      value: float64[channels]: Value of each constant channel; NaN if the channel depends on the input.
      pattern: int[channels]: `UNIFORM`, or the number of the pattern of 1 and 0 that the value is multiplied by.
    """

    value: np.ndarray
    pattern: np.ndarray

    @classmethod
    def of(cls, value: np.ndarray, pattern: np.ndarray | None = None) -> Constants:
        """Builds constants such that 0 has no pattern and non-finite values count as unknown."""
        value = np.where(np.isfinite(value), value, np.nan)
        pattern = np.zeros(len(value), int) if pattern is None else pattern
        return cls(value, np.where(np.isnan(value) | (value == 0), UNIFORM, pattern))

    @property
    def known(self) -> np.ndarray:
        """bool[channels]: whether the channel is constant."""
        return ~np.isnan(self.value)

    @property
    def uniform(self) -> np.ndarray:
        """bool[channels]: whether the channel has the same constant at every position."""
        return self.known & (self.pattern == UNIFORM)

    def only(self, channels: np.ndarray) -> Constants:
        """Returns the same constants with all channels unknown except bool[channels] `channels`."""
        return Constants.of(np.where(channels, self.value, np.nan), self.pattern)


def find_constants(graph: Graph, arrays: Arrays) -> list[Constants]:
    """Finds the constants of every tensor.

    Args:
      graph: The network.
      arrays: Its current weights.

    Returns:
      Constants by the number of the tensor.
    """
    constants = [Constants.of(np.full(graph.channels(tensor), np.nan)) for tensor in range(len(graph.shapes))]
    patterns: dict[Any, int] = {}
    for call in graph.calls:
        if call.kind not in (kinds.INPUT, kinds.UNKNOWN):
            inputs = [constants[tensor] for tensor in call.inputs]
            constants[call.output] = _after(graph, call, inputs, arrays, patterns)
    return constants


def _after(
    graph: Graph, call: LayerCall, inputs: list[Constants], arrays: Arrays, patterns: dict[Any, int]
) -> Constants:
    first = inputs[0]
    channels = graph.channels(call.output)
    rank = len(graph.shapes[call.input])
    if call.kind in (kinds.MIXING, kinds.DEPTHWISE):
        return _weighted(call, first, arrays, channels)
    if call.kind == kinds.POINTWISE:
        return _pointwise(call.layer, first, rank)
    if call.kind == kinds.JOIN:
        uniform = np.logical_and.reduce([constants.uniform for constants in inputs])
        return Constants.of(_call(call.layer, [constants.value for constants in inputs], rank)).only(uniform)
    if call.kind == kinds.CONCATENATE:
        return Constants(np.concatenate([c.value for c in inputs]), np.concatenate([c.pattern for c in inputs]))
    if call.kind == kinds.PADDING:
        return Constants.of(first.value, _padded(call.layer, graph.shapes[call.input], first.pattern, patterns))
    if call.kind == kinds.CHANNEL_PADDING:
        value = np.zeros(channels)
        pattern = np.zeros(channels, int)
        value[within(call, channels)] = first.value
        pattern[within(call, channels)] = first.pattern
        return Constants(value, pattern)
    first = first.only(first.uniform)  # pooling turns a pattern into unknown values
    return Constants.of(spread(call, first.value, channels))


def _weighted(call: LayerCall, inputs: Constants, arrays: Arrays, channels: int) -> Constants:
    """Handles convolutions and dense layers: an output is constant if all inputs that it reads are."""
    layer = call.layer
    kernel = arrays.matrix(call)
    bias = arrays.bias(call)
    if not kinds.elementwise(layer):
        return Constants.of(np.full(channels, np.nan))
    foldable = inputs.uniform & (kinds.position_independent(layer) | (inputs.value == 0))
    value = np.where(foldable, inputs.value, 0)
    used = (kernel != 0).any(0)
    total = kernel.sum(0, dtype=np.float64)
    if call.kind == kinds.DEPTHWISE:
        depends = (used & ~foldable[:, None]).ravel()
        value = (value[:, None] * total).ravel()
    else:
        depends = used[~foldable].any(0) | arrays.varying(call)
        value = value @ total
    value = value + bias
    if layer.activation is not None:
        value = library_of(layer).computed(layer.activation, [value], layer.compute_dtype)
    return Constants.of(np.where(depends, np.nan, value))


def _pointwise(layer: Any, inputs: Constants, rank: int) -> Constants:
    """Handles pointwise layers: a pattern survives if 0 stays 0, and a channel times gamma = 0 is constant."""
    value, zero = (_call(layer, [channels], rank) for channels in (inputs.value, np.zeros(len(inputs.value))))
    known = inputs.uniform | (inputs.known & (zero == 0))
    if kinds.is_batch_norm(layer) and layer.scale:
        silent = layer.gamma.numpy() == 0
        pattern = np.where(silent, UNIFORM, inputs.pattern)
        return Constants.of(np.where(silent, zero, value), pattern).only(known | silent)
    return Constants.of(value, inputs.pattern).only(known)


def _call(layer: Any, values: Iterable[np.ndarray], rank: int) -> np.ndarray:
    """Calls the layer on tensors with one position; unknown values count as 0."""
    shape = (1,) * (rank - 1) + (-1,)
    known = [np.nan_to_num(value).reshape(shape) for value in values]
    return library_of(layer).computed(layer, known, getattr(layer, "compute_dtype", "float32")).ravel()


def _padded(layer: Any, shape: tuple[int | None, ...], inner: np.ndarray, patterns: dict[Any, int]) -> np.ndarray:
    """Returns the patterns after zero padding; equal sizes, paddings and inner patterns yield the same pattern."""
    return np.array(
        [patterns.setdefault((shape, layer.padding, before), len(patterns) + 1) for before in inner.tolist()], int
    )
