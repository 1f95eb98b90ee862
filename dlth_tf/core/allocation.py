"""Allocation: from one sparsity for the network to an exact number of kept groups for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dlth_tf.core.erk import erk
from dlth_tf.core.exact_counts import Sparsity, removed_count
from dlth_tf.core.global_threshold import global_threshold
from dlth_tf.core.groups import Tensors, as_groups
from dlth_tf.core.patterns import EXAMPLE, PatternMap
from dlth_tf.errors import BadInput


def uniform(tensors: Tensors, sparsity: Sparsity, scores: Mapping[str, np.ndarray] | None = None) -> dict[str, int]:
    """Removes the same fraction of every tensor, as in DLTH.

    Args:
      tensors: Tensor name -> shape of every tensor that is pruned, or its Groups.
      sparsity: Fraction removed, in [0, 1).
      scores: Unused.

    Returns:
      Tensor name -> number of groups (weights, for a bare shape) that are kept, at least 1.
    """
    return {name: entry.count - removed_count(entry.count, sparsity) for name, entry in as_groups(tensors).items()}


Allocation = Callable[[Tensors, Sparsity, Mapping[str, np.ndarray] | None], dict[str, int]]
ALLOCATIONS: dict[str, Allocation] = {"uniform": uniform, "erk": erk, "global": global_threshold}


def parse_allocation(allocation: str | Mapping[str, Sparsity] | Allocation) -> Allocation:
    """Returns the allocation of that name, or of a map of patterns given as JSON text or as a mapping.

    Raises:
      BadInput: If it is neither.

    >>> tensors = {"fc/kernel": (10, 10)}
    >>> parse_allocation("erk")(tensors, .9), parse_allocation('{"fc*": 0.5}')(tensors, .9)
    ({'fc/kernel': 10}, {'fc/kernel': 50})
    """
    if callable(allocation):
        return allocation
    if isinstance(allocation, Mapping) or str(allocation).lstrip().startswith(("{", "[")):
        return PatternMap.parse(allocation)
    if allocation not in ALLOCATIONS:
        raise BadInput("allocation", allocation, f"must be one of {', '.join(ALLOCATIONS)}, or a map such as {EXAMPLE}")
    return ALLOCATIONS[allocation]
