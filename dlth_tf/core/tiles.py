"""Granularities whose groups are tiles of a tensor: single weights, filters, channels and blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlth_tf.core.groups import Groups, Shape
from dlth_tf.core.layout import as_four_axes, four_axes, from_four_axes
from dlth_tf.core.top_k import top_k_mask
from dlth_tf.errors import BadInput


@dataclass(frozen=True)
class Weights:
    """Single weights: scores and masks of groups are those of the weights."""

    text = "weight"

    def divide(self, shape: Shape, name: str = "", layout: str = "kernel") -> Groups:
        """Returns the groups of a tensor of this shape."""
        return Groups.single(shape)

    def pool(self, scores: np.ndarray, layout: str = "kernel") -> np.ndarray:
        """Returns the scores of groups, from the scores of weights."""
        return scores

    def free(self, within: np.ndarray, name: str = "", layout: str = "kernel") -> tuple[np.ndarray, int]:
        """Returns the groups that an earlier mask has left, and their number."""
        return within, int(np.count_nonzero(within))

    def keep(self, scores: np.ndarray, kept: int, free: np.ndarray | None = None) -> np.ndarray:
        """Returns the mask of groups that keeps the `kept` highest of those that are free."""
        return top_k_mask(scores, kept, free)

    def expand(self, mask: np.ndarray, shape: Shape, layout: str = "kernel") -> np.ndarray:
        """Returns the mask of weights for a mask of groups."""
        return mask.reshape(shape)


@dataclass(frozen=True)
class Tiles:
    """Tiles of [positions, parts, inputs, outputs] (layout.py) that are kept or removed as one piece.

    The score of a group is the mean of its weights' scores: its value per weight that it costs, so that groups of
    different tensors are comparable under a global threshold. Within a tensor mean and sum choose alike; the official
    code takes the mean of |w| for filters and channels.

    Attributes:
      text: Name in the flag.
      all_positions: Whether a tile spans all positions of a kernel, or one.
      inputs: Number of consecutive inputs; None for all.
      outputs: Number of consecutive outputs; None for all.
    """

    text: str
    all_positions: bool
    inputs: int | None
    outputs: int | None

    def divide(self, shape: Shape, name: str = "", layout: str = "kernel") -> Groups:
        """Returns the groups of a tensor of this shape.

        Raises:
          BadInput: If the tiles do not divide it; the message names the tensor.
        """
        _, _, inputs, outputs = four_axes(shape, layout)
        for axis, length, tile in (("inputs", inputs, self.inputs), ("outputs", outputs, self.outputs)):
            if tile and length % tile:
                raise does_not_fit(self.text, name, f"number of {axis}, {length}, is not a multiple of {tile}")
        split = self._split(shape, layout)
        scored = split[0], split[2], split[3], split[5]
        count = scored[0] * scored[1] * scored[2] * scored[3]
        return Groups(tuple(shape), count, split[1] * split[4] * split[6], count, scored)

    def pool(self, scores: np.ndarray, layout: str = "kernel") -> np.ndarray:
        """Returns the mean over each tile, accumulated in float64."""
        split = self._split(scores.shape, layout)
        return as_four_axes(scores, layout).reshape(split).mean((1, 4, 6), dtype=np.float64)

    def free(self, within: np.ndarray, name: str = "", layout: str = "kernel") -> tuple[np.ndarray, int]:
        """Returns the tiles that an earlier mask has left, and their number.

        Raises:
          BadInput: If the earlier mask keeps parts of a tile.
        """
        tiles = as_four_axes(within, layout).reshape(self._split(within.shape, layout))
        free = np.asarray(tiles.all((1, 4, 6)))
        if not np.array_equal(free, tiles.any((1, 4, 6))):
            raise BadInput("granularity", self.text, f"does not fit {name}, whose mask keeps parts of such groups")
        return free, int(np.count_nonzero(free))

    def keep(self, scores: np.ndarray, kept: int, free: np.ndarray | None = None) -> np.ndarray:
        """Returns the mask of tiles that keeps the `kept` highest of those that are free."""
        return top_k_mask(scores, kept, free)

    def expand(self, mask: np.ndarray, shape: Shape, layout: str = "kernel") -> np.ndarray:
        """Returns the mask of weights for a mask of tiles."""
        whole = np.broadcast_to(mask[:, None, :, :, None, :, None], self._split(shape, layout))
        return from_four_axes(whole.reshape(four_axes(shape, layout)), shape, layout)

    def _split(self, shape: Shape, layout: str) -> tuple[int, ...]:
        """[positions, parts, inputs, outputs], with positions, inputs and outputs each as (tiles, length of a tile)."""
        positions, parts, inputs, outputs = four_axes(shape, layout)
        p = positions if self.all_positions else 1
        r = self.inputs or inputs
        c = self.outputs or outputs
        return positions // max(p, 1), p, parts, inputs // max(r, 1), r, outputs // max(c, 1), c


def does_not_fit(text: str, name: str, reason: str) -> BadInput:
    """Returns the error for a tensor that a granularity cannot divide."""
    return BadInput(
        "granularity",
        text,
        f"does not fit {name or 'the tensor'}, whose {reason}; keep its layer whole with dense_layers",
    )
