"""The groups of one weight inside a graph: scores pooled over groups, masks of groups spread over weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlth_tf.core.granularity import Granularity
from dlth_tf.errors import BadInput
from dlth_tf.masking.prunable import PrunableWeight


class GraphGroups:
    """One weight, divided by a granularity; groups are numbered from 0 in the order of `core.choose_masks`.

    Args:
      entry: The weight.
      granularity: Any but n:m, whose groups cannot be exchanged freely (`PruningSpec.check_fixed_counts` refuses it).
      ops: Operations of the backend, such as `masking.keras2.ops`.

    Raises:
      BadInput: If the granularity does not fit the tensor.
    """

    def __init__(self, entry: PrunableWeight, granularity: Granularity, ops: Any) -> None:
        groups = granularity.divide(entry.shape, entry.name, entry.layout)
        self.ops = ops
        self.text = granularity.text
        self.shape = groups.shape
        self.count = groups.count
        self.weights = groups.weights
        numbers = np.arange(groups.count, dtype=np.int32).reshape(groups.scored)
        group_of = granularity.expand(numbers, groups.shape, entry.layout).ravel()
        self._group_of = None if groups.weights == 1 else ops.constant(group_of)

    def pool(self, values: Any) -> Any:
        """Returns the mean over each group: [groups] from the weight's shape."""
        flat = self.ops.reshape(values, [-1])
        if self._group_of is None:
            return flat
        total = self.ops.segment_sum(flat, self._group_of, self.count)
        return total / self.ops.cast(self.weights, flat.dtype)

    def spread(self, groups: Any) -> Any:
        """Returns the weight's shape from [groups]: every weight gets its group's value."""
        flat = groups if self._group_of is None else self.ops.take(groups, self._group_of)
        return self.ops.reshape(flat, self.shape)

    def kept(self, entry: PrunableWeight) -> int:
        """Returns the number of groups that the weight's mask keeps.

        Raises:
          BadInput: If it keeps parts of groups.
        """
        kept = self.ops.convert_to_numpy(self.pool(self.ops.cast(entry.kept(), entry.dtype)))
        if not np.isin(kept, (0, 1)).all():
            raise BadInput(
                "granularity", self.text, f"does not fit {entry.name}, whose mask keeps parts of such groups"
            )
        return int(kept.sum())
