"""Allocation: one sparsity for the network -> an exact number of kept groups for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dlth_tf.core.erk import erk
from dlth_tf.core.exact_counts import Sparsity, parse_sparsity, removed_count
from dlth_tf.core.global_threshold import global_threshold
from dlth_tf.core.groups import Tensors, as_groups
from dlth_tf.core.patterns import EXAMPLE, PatternMap
from dlth_tf.errors import BadInput

__all__ = [
    "ALLOCATIONS",
    "Allocation",
    "PatternMap",
    "erk",
    "global_threshold",
    "parse_allocation",
    "parse_sparsity",
    "removed_count",
    "uniform",
]


def uniform(tensors: Tensors, sparsity: Sparsity, scores: Mapping[str, np.ndarray] | None = None) -> dict[str, int]:
    """The same sparsity in every tensor, as DLTH does it.

    Args:
      tensors: name -> shape of every tensor that is pruned, or its Groups.
      sparsity: fraction removed, in [0, 1).
      scores: not looked at.

    Returns:
      name -> the number of groups (of weights, for a bare shape) that are kept, at least 1.
    """
    return {name: entry.count - removed_count(entry.count, sparsity) for name, entry in as_groups(tensors).items()}


Allocation = Callable[[Tensors, Sparsity, Mapping[str, np.ndarray] | None], dict[str, int]]
ALLOCATIONS: dict[str, Allocation] = {"uniform": uniform, "erk": erk, "global": global_threshold}


def parse_allocation(given: str | Mapping[str, Sparsity] | Allocation) -> Allocation:
    """The allocation that a flag or an argument means: a name, or a map of patterns as JSON text or as a mapping.

    Raises:
      BadInput: neither, with what is allowed.

    >>> parse_allocation("erk")({"fc/kernel": (10, 10)}, .9), parse_allocation('{"fc*": 0.5}')({"fc/kernel": (10, 10)}, .9)
    ({'fc/kernel': 10}, {'fc/kernel': 50})
    """
    if callable(given):
        return given
    if isinstance(given, Mapping) or str(given).lstrip().startswith(("{", "[")):
        return PatternMap.parse(given)
    if given not in ALLOCATIONS:
        raise BadInput("allocation", given, f"must be one of {', '.join(ALLOCATIONS)}, or a map such as {EXAMPLE}")
    return ALLOCATIONS[given]
