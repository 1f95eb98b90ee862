"""ChannelGraph: a network's layers as a graph, with the layers that keep channels apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Neighbors = Mapping[int, list[Any]]  # by the layer's id


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """The layers of a network and their connections.

    Attributes:
      consumers: id of a layer -> the layers that take its outputs.
      producers: id of a layer -> the layers whose outputs it takes.
      passes: Returns whether a layer keeps every channel at its index.
      joins: Returns whether a layer combines the channels of several tensors index by index (additions and the like).
    """

    consumers: Neighbors
    producers: Neighbors
    passes: Callable[[Any], bool]
    joins: Callable[[Any], bool]

    def reached(self, layer: Any, neighbors: Neighbors) -> Iterator[Any]:
        """Yields the layers after a layer (by producers: before it), up to and with the first that mix channels."""
        seen: set[int] = set()
        frontier = [*neighbors.get(id(layer), [])]
        while frontier:
            reached = frontier.pop()
            if id(reached) not in seen:
                seen.add(id(reached))
                yield reached
                if self.passes(reached):
                    frontier += neighbors.get(id(reached), [])
