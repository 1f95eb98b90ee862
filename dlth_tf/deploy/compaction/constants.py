"""Which channels hold one and the same number for every input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.slots import along, within

UNIFORM = 0  # the pattern of what is the same number at every position


@dataclass(frozen=True)
class Constants:
    """What is known of a tensor's channels.

    A removed filter is not nothing: batch norm and bias make a constant of it. Zero padding makes a pattern of that: the
    constant inside and 0 at the border. Channels of one tensor with the same pattern are multiples of each other.

    Attributes:
      value: float64[channels], NaN where the channel depends on the input.
      pattern: int[channels]: `UNIFORM`, or which pattern of 1 and 0 the value is multiplied by.
    """

    value: np.ndarray
    pattern: np.ndarray

    @classmethod
    def of(cls, value: np.ndarray, pattern: np.ndarray | None = None) -> Constants:
        """Constants in which 0 has no pattern, and no infinite number counts as known."""
        value = np.where(np.isfinite(value), value, np.nan)
        pattern = np.zeros(len(value), int) if pattern is None else pattern
        return cls(value, np.where(np.isnan(value) | (value == 0), UNIFORM, pattern))

    @property
    def known(self) -> np.ndarray:
        """bool[channels]: holds a constant."""
        return ~np.isnan(self.value)

    @property
    def uniform(self) -> np.ndarray:
        """bool[channels]: holds the same constant at every position."""
        return self.known & (self.pattern == UNIFORM)

    def only(self, which: np.ndarray) -> Constants:
        """The same, with nothing known of the other channels."""
        return Constants.of(np.where(which, self.value, np.nan), self.pattern)


def find(graph: Graph, arrays: Arrays) -> list[Constants]:
    """The constants of every tensor."""
    found = [Constants.of(np.full(graph.channels(tensor), np.nan)) for tensor in range(len(graph.shapes))]
    patterns: dict[Any, int] = {}
    for step in graph.steps:
        if step.kind not in (kinds.INPUT, kinds.UNKNOWN):
            found[step.output] = _after(graph, step, [found[tensor] for tensor in step.inputs], arrays, patterns)
    return found


def _after(
    graph: Graph, step: LayerCall, inputs: list[Constants], arrays: Arrays, patterns: dict[Any, int]
) -> Constants:
    first, channels = inputs[0], graph.channels(step.output)
    rank = len(graph.shapes[step.input])
    if step.kind in (kinds.MIXING, kinds.DEPTHWISE):
        return _weighted(step, first, arrays, channels)
    if step.kind == kinds.POINTWISE:
        return _pointwise(step.layer, first, rank)
    if step.kind == kinds.JOIN:
        uniform = np.logical_and.reduce([constants.uniform for constants in inputs])
        return Constants.of(_called(step.layer, [constants.value for constants in inputs], rank)).only(uniform)
    if step.kind == kinds.CONCATENATE:
        return Constants(np.concatenate([c.value for c in inputs]), np.concatenate([c.pattern for c in inputs]))
    if step.kind == kinds.PADDING:
        return Constants.of(first.value, _padded(step.layer, graph.shapes[step.input], first.pattern, patterns))
    if step.kind == kinds.CHANNEL_PADDING:
        value, pattern = np.zeros(channels), np.zeros(channels, int)
        value[within(step, channels)], pattern[within(step, channels)] = first.value, first.pattern
        return Constants(value, pattern)
    first = first.only(first.uniform)  # of pooled patterns nothing is known
    return Constants.of(along(step, first.value, channels))


def _weighted(step: LayerCall, inputs: Constants, arrays: Arrays, channels: int) -> Constants:
    """Convolutions and dense layers: an output is constant if all inputs that it sees are."""
    layer, kernel, bias = step.layer, arrays.matrix(step), arrays.bias(step)
    if not kinds.elementwise(layer):
        return Constants.of(np.full(channels, np.nan))
    foldable = inputs.uniform & (kinds.position_independent(layer) | (inputs.value == 0))
    value = np.where(foldable, inputs.value, 0)
    used, total = (kernel != 0).any(0), kernel.sum(0, dtype=np.float64)
    if step.kind == kinds.DEPTHWISE:
        seen, value = (used & ~foldable[:, None]).ravel(), (value[:, None] * total).ravel()
    else:
        seen, value = used[~foldable].any(0), value @ total
    value = layer.activation(tf.constant(value + bias, layer.compute_dtype)).numpy().astype(np.float64)
    return Constants.of(np.where(seen, np.nan, value))


def _pointwise(layer: Any, inputs: Constants, rank: int) -> Constants:
    """A pattern outlives a function that leaves 0 as it is; what is multiplied by gamma = 0 is a constant."""
    value, zero = (_called(layer, [given], rank) for given in (inputs.value, np.zeros(len(inputs.value))))
    known = inputs.uniform | (inputs.known & (zero == 0))
    if isinstance(layer, kinds.layers.BatchNormalization) and layer.scale:
        silent = layer.gamma.numpy() == 0
        value, known = np.where(silent, zero, value), known | silent
        return Constants.of(value, np.where(silent, UNIFORM, inputs.pattern)).only(known)
    return Constants.of(value, inputs.pattern).only(known)


def _called(layer: Any, values: Iterable[np.ndarray], rank: int) -> np.ndarray:
    """What the layer itself makes of tensors with one position; what is not known counts as 0."""
    tensors = [
        tf.constant(np.nan_to_num(value).reshape((1,) * (rank - 1) + (-1,)), layer.compute_dtype) for value in values
    ]
    return layer(tensors if len(tensors) > 1 else tensors[0], training=False).numpy().astype(np.float64).ravel()


def _padded(layer: Any, shape: tuple[int | None, ...], inner: np.ndarray, patterns: dict[Any, int]) -> np.ndarray:
    """The patterns after zero padding: the same size, padding and inner pattern give the same one."""
    return np.array(
        [patterns.setdefault((shape, layer.padding, before), len(patterns) + 1) for before in inner.tolist()], int
    )
