"""The information-theoretic bound on the size of a sparse network whose mask and weights look random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BITS = 32  # per remaining weight


@dataclass(frozen=True)
class Size:
    """Parameter counts of a network.

    Args:
      prunable: Number of weights in the pruned tensors.
      removed: Number of prunable weights that are removed.
      others: Number of all other parameters.
    """

    prunable: int
    removed: int
    others: int

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that is removed."""
        return self.removed / self.prunable if self.prunable else 0.0

    @property
    def bound(self) -> int:
        """Bound in bytes: n (H2(s) + 32 (1 - s)) / 8 for n prunable weights, and 4 for every other parameter.

        H2(s) = -s log2 s - (1 - s) log2(1 - s) is the entropy of a random mask per weight (Shannon, 1948). Structured
        masks (filters, blocks) and weights with similar exponents can take less, because the bound assumes that nothing
        is known about either.

        >>> Size(1000, 900, 10).bound
        499
        """
        density = 1 - self.sparsity
        entropy = -sum(share * math.log2(share) for share in (self.sparsity, density) if share)
        return math.ceil(self.prunable * (entropy + BITS * density) / 8 + 4 * self.others)


def size_of(weights: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray] | None) -> Size:
    """Counts the parameters of a network.

    Args:
      weights: Name -> array.
      masks: Name -> boolean mask, True = kept, of the pruned tensors; None takes all tensors with two or more axes that
        contain zeros as pruned.
    """
    if masks is None:
        masks = {name: value != 0 for name, value in weights.items() if value.ndim > 1 and not np.all(value)}
    prunable = sum(mask.size for mask in masks.values())
    removed = sum(int(mask.size - np.count_nonzero(mask)) for mask in masks.values())
    return Size(prunable, removed, sum(value.size for value in weights.values()) - prunable)
