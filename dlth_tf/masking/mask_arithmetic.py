"""Masks that change during training, as pure functions of arrays: no assignment, no state, any backend.

`ops` is a namespace with the names of `masking.keras2.ops` (those of `keras.ops`, where it has them).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dlth_tf.masking.graph_groups import GraphGroups


def top_k(ops: Any, scores: Any, kept: Any) -> Any:
    """Keeps exactly `kept` scores; of equal ones the later are kept. The same as `core.top_k_mask`, in a graph.

    Args:
      ops: Operations of the backend.
      scores: [n], without NaN.
      kept: Integer scalar, 0 to n.

    Returns:
      Boolean mask [n].
    """
    rank = ops.inverse_permutation(ops.argsort(scores))
    return rank >= ops.size(scores) - kept


def largest(groups: GraphGroups, weight: Any, kept: Any, free: Any = None) -> Any:
    """Returns the boolean mask, in the weight's shape, of the `kept` groups of largest mean |w|.

    Args:
      groups: Groups of the weight.
      weight: The weight.
      kept: Integer scalar, 0 to the number of groups that are free.
      free: 1 = may be kept, in the weight's shape and dtype, the same for all of a group; None: all.
    """
    ops = groups.ops
    magnitudes = groups.pool(ops.abs(weight))
    if free is not None:  # even a kept weight that is zero comes before one that is removed
        magnitudes = ops.where(groups.pool(free) > 0, magnitudes, ops.cast(-1, magnitudes.dtype))
    return groups.spread(top_k(ops, magnitudes, kept))


class Exchange(NamedTuple):
    """Result of `drop_and_grow`, both in the weight's shape.

    Attributes:
      mask: Boolean, True = active after the exchange.
      fresh: Boolean, True = newly grown: the weight and its optimizer slots start at zero.
    """

    mask: Any
    fresh: Any


def drop_and_grow(groups: GraphGroups, weight: Any, mask: Any, growth: Any, counts: tuple[Any, Any]) -> Exchange:
    """Drops the active groups of smallest mean |w| and grows as many of all others, the just dropped too (SET, RigL).

    Args:
      groups: Groups of the weight.
      weight: The weight.
      mask: Its mask, 1 = active.
      growth: [groups], scores by which inactive groups become active.
      counts: Number of active groups, and of those that are exchanged; the number of active groups does not change.
    """
    ops = groups.ops
    active_count, exchanged = counts
    active = groups.pool(mask) > 0
    magnitudes = groups.pool(ops.abs(weight))
    lowest = ops.cast(float("-inf"), magnitudes.dtype)
    stay = top_k(ops, ops.where(active, magnitudes, lowest), active_count - exchanged)
    grown = top_k(ops, ops.where(stay, lowest, growth), exchanged)
    return Exchange(groups.spread(stay | grown), groups.spread(grown & ~active))
