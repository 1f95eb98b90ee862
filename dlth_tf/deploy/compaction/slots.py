"""Divides slots, the channels of tensors, into classes that are kept or removed together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.graph import Graph, LayerCall


@dataclass(frozen=True)
class Slots:
    """Classes of slots that are kept or removed together.

    Attributes:
      labels: For every tensor, int[channels]: Class of each channel.
      pinned: bool[classes]: Whether the class must stay.
    """

    labels: tuple[np.ndarray, ...]
    pinned: np.ndarray


def divide(graph: Graph) -> Slots:
    """Divides the slots of a network into classes."""
    sizes = [graph.channels(tensor) for tensor in range(len(graph.shapes))]
    slots = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    pairs = [pair for call in graph.calls for pair in _links(call, slots)]
    sides = zip(*pairs, strict=True) if pairs else ((), ())
    one, other = (np.concatenate([np.zeros(0, int), *side]) for side in sides)
    links = coo_array((np.ones(len(one), bool), (one, other)), shape=(sum(sizes),) * 2)
    count, labels = connected_components(links, directed=False)
    pinned = np.zeros(count, bool)
    for tensor in [*graph.results, *(tensor for call in graph.calls for tensor in _pins(call))]:
        pinned[labels[slots[tensor]]] = True
    return Slots(tuple(labels[channels] for channels in slots), pinned)


def _links(call: LayerCall, slots: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields pairs of slots that a call ties to each other."""
    if call.kind == kinds.JOIN:
        yield from ((slots[tensor], slots[call.output]) for tensor in call.inputs)
    elif call.kind == kinds.CONCATENATE:
        yield np.concatenate([slots[tensor] for tensor in call.inputs]), slots[call.output]
    elif call.kind not in (kinds.INPUT, kinds.UNKNOWN, kinds.MIXING):
        outputs = slots[call.output]
        yield spread(call, slots[call.input], len(outputs)), outputs[within(call, len(outputs))]


def spread(call: LayerCall, values: np.ndarray, outputs: int) -> np.ndarray:
    """Maps values of the input channels to the output channels of a call that does not mix channels.

    Args:
      call: Call with one input.
      values: [inputs]: One value per input channel.
      outputs: Number of output channels.

    Returns:
      [outputs]: For each output channel, the value of the input channel that it is computed from.
    """
    if call.kind == kinds.FLATTEN:
        return np.tile(values, outputs // len(values))
    return np.repeat(values, outputs // len(values)) if call.kind == kinds.DEPTHWISE else values


def within(call: LayerCall, outputs: int) -> slice:
    """Returns the output channels that come from the input: all of them, except where a call adds channels of zeros.

    Args:
      call: Call with one input.
      outputs: Number of output channels.
    """
    left, right = call.layer.padding[1] if call.kind == kinds.CHANNEL_PADDING else (0, 0)
    return slice(left, outputs - right)


def _pins(call: LayerCall) -> tuple[int, ...]:
    """Returns the tensors whose channels must all stay because of this call."""
    if call.kind in (kinds.INPUT, kinds.UNKNOWN):
        return call.inputs + call.outputs
    return call.outputs if call.kind in (kinds.MIXING, kinds.DEPTHWISE) and not kinds.elementwise(call.layer) else ()
