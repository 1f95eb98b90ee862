"""How many bytes a sparse network must take at least, if its mask and its weights are as good as random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BITS = 32  # of a weight that stays


@dataclass(frozen=True)
class Size:
    """What a network consists of.

    Args:
      prunable: weights in the tensors that were pruned.
      removed: of these, how many were removed.
      others: all other parameters.
    """

    prunable: int
    removed: int
    others: int

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that was removed."""
        return self.removed / self.prunable if self.prunable else 0.0

    @property
    def bound(self) -> int:
        """n (H2(s) + 32 (1 - s)) / 8 bytes, and 4 for every other parameter.

        H2(s) = -s log2 s - (1 - s) log2(1 - s) is the entropy of a random mask per weight (Shannon, 1948). A mask with a structure
        (filters, blocks) and weights whose exponents are alike can take less: the bound is of what is known about neither.

        >>> Size(1000, 900, 10).bound
        499
        """
        rest = 1 - self.sparsity
        entropy = -sum(share * math.log2(share) for share in (self.sparsity, rest) if share)
        return math.ceil(self.prunable * (entropy + BITS * rest) / 8 + 4 * self.others)


def size_of(weights: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray] | None) -> Size:
    """The sizes of a network with these weights.

    Args:
      weights: name -> array.
      masks: name -> True = kept, of the tensors that were pruned; without a ticket, all tensors of two or more axes that hold zeros.
    """
    if masks is None:
        masks = {name: value != 0 for name, value in weights.items() if value.ndim > 1 and not np.all(value)}
    prunable = sum(mask.size for mask in masks.values())
    removed = sum(int(mask.size - np.count_nonzero(mask)) for mask in masks.values())
    return Size(prunable, removed, sum(value.size for value in weights.values()) - prunable)
