"""Groups: a tensor divided by a granularity, with all that an allocation needs to know about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dlth_tf.core.exact_counts import Sparsity, parse_sparsity, removed_count
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import whole_numbers

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Groups:
    """One tensor, divided into groups of equally many weights that are kept or removed as one piece.

    Attributes:
      shape: Shape of the tensor.
      count: Number of groups.
      weights: Number of weights in each group.
      free: Number of groups that may be kept: all, or those that an earlier round has left.
      scored: Shape of the array that holds a score for every group.
    """

    shape: Shape
    count: int
    weights: int
    free: int
    scored: Shape

    @classmethod
    def single(cls, shape: Shape) -> Groups:
        """Divides a tensor of this shape into single weights."""
        sizes = whole_numbers("shape", shape)
        count = math.prod(sizes)
        return cls(sizes, count, 1, count, sizes)

    @property
    def room(self) -> int:
        """Number of weights that may be kept."""
        return self.free * self.weights


Tensors = Mapping[str, Shape | Groups]


def as_groups(tensors: Tensors) -> dict[str, Groups]:
    """Returns the groups of every tensor; a bare shape means single weights."""
    return {name: entry if isinstance(entry, Groups) else Groups.single(entry) for name, entry in tensors.items()}


def weight_budget(groups: Mapping[str, Groups], sparsity: Sparsity) -> int:
    """Number of weights that the whole network keeps: n - removed_count(n, p), never more than are free.

    Raises:
      BadInput: If it is less than one group of every tensor, or more than an earlier round has left.
    """
    shown = f"{float(parse_sparsity(sparsity)):.6g}"  # the ratio of a round would have 40 digits
    total = sum(entry.count * entry.weights for entry in groups.values())
    budget = total - removed_count(total, sparsity)
    least = sum(entry.weights for entry in groups.values() if entry.count)
    if budget < least:
        most = f"{(total - least) / total:.4g}"
        names = ", ".join([*groups][:3]) + (", ..." if len(groups) > 3 else "")
        raise BadInput(
            "sparsity",
            shown,
            f"leaves {budget} of {total} weights, fewer than one group of each of {names} ({least}): at most {most}",
        )
    room = sum(entry.room for entry in groups.values())
    if budget - room >= max((entry.weights for entry in groups.values()), default=1):
        raise BadInput(
            "sparsity", shown, f"leaves {budget} of {total} weights, but only {room} of them have not been removed yet"
        )
    return min(budget, room)
