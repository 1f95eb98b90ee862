"""Granularities whose groups are tiles of a tensor: single weights, filters, channels, blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlth_tf.core.groups import Groups, Shape
from dlth_tf.core.layout import as_four_axes, four_axes, from_four_axes
from dlth_tf.core.top_k import top_k_mask
from dlth_tf.errors import BadInput


@dataclass(frozen=True)
class Weights:
    """Every weight by itself: scores and masks are those of the weights."""

    text = "weight"

    def divide(self, shape: Shape, name: str = "", layout: str = "kernel") -> Groups:
        """The groups of a tensor of this shape."""
        return Groups.single(shape)

    def pool(self, scores: np.ndarray, layout: str = "kernel") -> np.ndarray:
        """Scores of groups from scores of weights."""
        return scores

    def free(self, within: np.ndarray, name: str = "", layout: str = "kernel") -> tuple[np.ndarray, int]:
        """Which groups an earlier mask has left, and how many."""
        return within, int(np.count_nonzero(within))

    def keep(self, scores: np.ndarray, kept: int, free: np.ndarray | None = None) -> np.ndarray:
        """The mask of groups that keeps the `kept` highest of those that are free."""
        return top_k_mask(scores, kept, free)

    def expand(self, mask: np.ndarray, shape: Shape, layout: str = "kernel") -> np.ndarray:
        """The mask of weights that belongs to a mask of groups."""
        return mask.reshape(shape)


@dataclass(frozen=True)
class Tiles:
    """Tiles of [positions, parts, inputs, outputs] (layout.py) stay or go as one piece.

    The score of a group is the mean of its weights' scores: what it is worth per weight that it costs, so that groups of
    different tensors compare under a global threshold. Within a tensor mean and sum choose alike; the mean of |w| is what
    the official code takes for filters and channels.

    Attributes:
      text: as the flag names it.
      all_positions: a tile reaches over all positions of a kernel, or lies in one.
      inputs: how many consecutive inputs; None for all.
      outputs: how many consecutive outputs; None for all.
    """

    text: str
    all_positions: bool
    inputs: int | None
    outputs: int | None

    def divide(self, shape: Shape, name: str = "", layout: str = "kernel") -> Groups:
        """The groups of a tensor of this shape.

        Raises:
          BadInput: the tiles do not fit; the tensor is named.
        """
        _, _, inputs, outputs = four_axes(shape, layout)
        for axis, length, tile in (("inputs", inputs, self.inputs), ("outputs", outputs, self.outputs)):
            if tile and length % tile:
                raise does_not_fit(self.text, name, f"number of {axis}, {length}, is no multiple of {tile}")
        split = self._split(shape, layout)
        scored = split[0], split[2], split[3], split[5]
        count = scored[0] * scored[1] * scored[2] * scored[3]
        return Groups(tuple(shape), count, split[1] * split[4] * split[6], count, scored)

    def pool(self, scores: np.ndarray, layout: str = "kernel") -> np.ndarray:
        """The mean over each tile, summed in float64."""
        split = self._split(scores.shape, layout)
        return as_four_axes(scores, layout).reshape(split).mean((1, 4, 6), dtype=np.float64)

    def free(self, within: np.ndarray, name: str = "", layout: str = "kernel") -> tuple[np.ndarray, int]:
        """Which tiles an earlier mask has left, and how many.

        Raises:
          BadInput: the earlier mask cuts through a tile.
        """
        tiles = as_four_axes(within, layout).reshape(self._split(within.shape, layout))
        free = np.asarray(tiles.all((1, 4, 6)))
        if not np.array_equal(free, tiles.any((1, 4, 6))):
            raise BadInput("within", name, f"keeps parts of groups, and granularity {self.text} needs them whole")
        return free, int(np.count_nonzero(free))

    def keep(self, scores: np.ndarray, kept: int, free: np.ndarray | None = None) -> np.ndarray:
        """The mask of tiles that keeps the `kept` highest of those that are free."""
        return top_k_mask(scores, kept, free)

    def expand(self, mask: np.ndarray, shape: Shape, layout: str = "kernel") -> np.ndarray:
        """The mask of weights that belongs to a mask of tiles."""
        whole = np.broadcast_to(mask[:, None, :, :, None, :, None], self._split(shape, layout))
        return from_four_axes(whole.reshape(four_axes(shape, layout)), shape, layout)

    def _split(self, shape: Shape, layout: str) -> tuple[int, ...]:
        """[positions, parts, inputs, outputs] with positions, inputs and outputs each as (tiles, length of a tile)."""
        positions, parts, inputs, outputs = four_axes(shape, layout)
        p, r, c = positions if self.all_positions else 1, self.inputs or inputs, self.outputs or outputs
        return positions // max(p, 1), p, parts, inputs // max(r, 1), r, outputs // max(c, 1), c


def does_not_fit(text: str, name: str, reason: str) -> BadInput:
    """The refusal of a tensor that a granularity cannot divide."""
    return BadInput(
        "granularity",
        text,
        f"does not fit {name or 'the tensor'}, whose {reason}; keep its layer whole with dense_layers",
    )
