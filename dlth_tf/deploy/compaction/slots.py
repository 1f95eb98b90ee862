"""Slots, the channels of tensors: which belong together, and which must stay."""

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
    """Classes of slots that stay or go together.

    Attributes:
      labels: of every tensor, int[channels]: the class of each channel.
      pinned: bool[classes]: must stay.
    """

    labels: tuple[np.ndarray, ...]
    pinned: np.ndarray


def divide(graph: Graph) -> Slots:
    """The classes of a network's slots."""
    sizes = [graph.channels(tensor) for tensor in range(len(graph.shapes))]
    own = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    pairs = [pair for step in graph.steps for pair in _links(graph, step, own)]
    one, other = (
        np.concatenate([np.zeros(0, int), *side]) for side in (zip(*pairs, strict=True) if pairs else ((), ()))
    )
    count, label = connected_components(
        coo_array((np.ones(len(one), bool), (one, other)), shape=(sum(sizes),) * 2), directed=False
    )
    pinned = np.zeros(count, bool)
    for tensor in [*graph.results, *(tensor for step in graph.steps for tensor in _pins(step))]:
        pinned[label[own[tensor]]] = True
    return Slots(tuple(label[slots] for slots in own), pinned)


def _links(graph: Graph, step: LayerCall, own: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of slots that a step ties to each other."""
    if step.kind == kinds.JOIN:
        yield from ((own[tensor], own[step.output]) for tensor in step.inputs)
    elif step.kind == kinds.CONCATENATE:
        yield np.concatenate([own[tensor] for tensor in step.inputs]), own[step.output]
    elif step.kind not in (kinds.INPUT, kinds.UNKNOWN, kinds.MIXING):
        yield along(step, own[step.input], len(own[step.output])), own[step.output][within(step, len(own[step.output]))]


def along(step: LayerCall, values: np.ndarray, outputs: int) -> np.ndarray:
    """What each output channel of a step has from its input: [inputs] -> [outputs], where the step does not mix channels."""
    if step.kind == kinds.FLATTEN:
        return np.tile(values, outputs // len(values))
    return np.repeat(values, outputs // len(values)) if step.kind == kinds.DEPTHWISE else values


def within(step: LayerCall, outputs: int) -> slice:
    """Where in a step's output the channels of its input are: all of it, but for those that add channels of zeros."""
    left, right = step.layer.padding[1] if step.kind == kinds.CHANNEL_PADDING else (0, 0)
    return slice(left, outputs - right)


def _pins(step: LayerCall) -> tuple[int, ...]:
    """Tensors of which every channel must stay, because of this step."""
    if step.kind in (kinds.INPUT, kinds.UNKNOWN):
        return step.inputs + step.outputs
    return step.outputs if step.kind in (kinds.MIXING, kinds.DEPTHWISE) and not kinds.elementwise(step.layer) else ()
