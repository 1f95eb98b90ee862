"""ERK: Erdos-Renyi-Kernel allocation, denser for small tensors (Evci et al., RigL, ICML 2020, arXiv:1911.11134)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from dlth_tf.core.exact_counts import Sparsity
from dlth_tf.core.groups import Groups, Tensors, as_groups, weight_budget


def erk(tensors: Tensors, sparsity: Sparsity, scores: Mapping[str, np.ndarray] | None = None) -> dict[str, int]:
    """Sets densities proportional to (sum of the dimensions) / (product of the dimensions), at most 1.

    Largest remainders make the total exact: n - removed_count(n, p) weights are kept, or, where groups hold several
    weights, less than one group fewer. At least one group of every tensor is kept.

    Args:
      tensors: Tensor name -> shape of every tensor that is pruned, or its Groups.
      sparsity: Fraction removed of all weights together, in [0, 1).
      scores: Unused.

    Returns:
      Tensor name -> number of groups that are kept.

    Raises:
      BadInput: If the sparsity leaves less than one group of every tensor.

    >>> erk({"small": (10, 10), "large": (100, 100)}, .9)
    {'small': 92, 'large': 918}
    """
    groups = as_groups(tensors)
    budget = weight_budget(groups, sparsity)
    return _whole_groups(groups, _shares(groups, budget), budget)


def _shares(groups: Mapping[str, Groups], budget: int) -> dict[str, Fraction]:
    """Number of weights that each tensor keeps, before rounding.

    A density of eps * (sum of dims) / (product of dims) keeps eps * (sum of dims) weights, so eps is what the budget
    leaves to the tensors that are not full, over the sum of all their dimensions. One that would keep more weights than
    it has is full; that leaves more for the others, and may fill some of them in turn (the loop of
    rigl/sparse_utils.py).
    """
    dims = {name: sum(entry.shape) or 1 for name, entry in groups.items()}
    full: set[str] = set()
    while True:
        open_dims = sum(dims[name] for name in groups if name not in full)
        eps = Fraction(budget - sum(groups[name].room for name in full), open_dims or 1)
        overfull = {name for name in groups if name not in full and eps * dims[name] > groups[name].room}
        if not overfull:
            return {name: Fraction(entry.room) if name in full else eps * dims[name] for name, entry in groups.items()}
        full |= overfull


def _whole_groups(groups: Mapping[str, Groups], shares: Mapping[str, Fraction], budget: int) -> dict[str, int]:
    """Rounds weights to groups by largest remainders: never above the budget, exact where a group is one weight."""
    targets = {name: shares[name] / max(entry.weights, 1) for name, entry in groups.items()}
    kept = {name: max(math.floor(targets[name]), min(1, entry.free)) for name, entry in groups.items()}
    left = budget - sum(kept[name] * entry.weights for name, entry in groups.items())
    while left < 0:  # the tensors that got their one group took it from the others
        name = min((name for name in groups if kept[name] > 1), key=lambda name: targets[name] - kept[name])
        kept[name] -= 1
        left += groups[name].weights
    while fits := [name for name, entry in groups.items() if kept[name] < targets[name] and entry.weights <= left]:
        name = max(fits, key=lambda name: targets[name] - kept[name])
        kept[name] += 1
        left -= groups[name].weights
    return kept
