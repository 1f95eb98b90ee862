"""The groups of one weight inside the graph: scores pooled over groups, masks of groups spread over weights."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dlth_tf.core import parse_granularity
from dlth_tf.core.n_m import NByM
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.weights import PrunableWeight


class GraphGroups:
    """One weight, divided as a granularity says; groups are numbered from 0 in the order of `core.choose_masks`.

    Args:
      entry: the weight.
      granularity: as in `dlth_tf.random_ticket`, but n:m, whose groups are not free to come and go.

    Raises:
      BadInput: n:m, or a granularity that does not fit the tensor.
    """

    def __init__(self, entry: PrunableWeight, granularity: str = "weight") -> None:
        grain = parse_granularity(granularity)
        if isinstance(grain, NByM):
            raise BadInput(
                "granularity",
                granularity,
                "does not go with masks that change while the network trains: say weight, filter, ...",
            )
        groups = grain.divide(entry.shape, entry.name, entry.layout)
        self.text, self.shape, self.count, self.weights = str(granularity), groups.shape, groups.count, groups.weights
        numbers = np.arange(groups.count, dtype=np.int32).reshape(groups.scored)
        # An eager tensor is captured by the graph, not written into it, however large it is.
        self._group_of = (
            None if groups.weights == 1 else tf.constant(grain.expand(numbers, groups.shape, entry.layout).ravel())
        )

    def pool(self, values: tf.Tensor) -> tf.Tensor:
        """The mean over each group: [groups] from the weight's shape."""
        flat = tf.reshape(values, [-1])
        if self._group_of is None:
            return flat
        return tf.math.unsorted_segment_sum(flat, self._group_of, self.count) / tf.cast(self.weights, flat.dtype)

    def spread(self, groups: tf.Tensor) -> tf.Tensor:
        """The weight's shape from [groups]: every weight gets its group's value."""
        return tf.reshape(groups if self._group_of is None else tf.gather(groups, self._group_of), self.shape)

    def kept(self, entry: PrunableWeight) -> int:
        """How many groups the weight's mask keeps.

        Raises:
          BadInput: it keeps parts of groups.
        """
        kept = self.pool(tf.constant(entry.kept(), entry.mask.dtype)).numpy()
        if not np.isin(kept, (0, 1)).all():
            raise BadInput(
                "granularity", self.text, f"does not fit {entry.name}, whose mask keeps parts of such groups"
            )
        return int(kept.sum())


def highest(scores: tf.Tensor, kept: tf.Tensor | int) -> tf.Tensor:
    """`core.top_k_mask` in the graph: a boolean mask of exactly `kept` scores; of equal ones the later stay.

    Args:
      scores: [n], no NaN.
      kept: int32 scalar, 0 to n.
    """
    rank = tf.math.invert_permutation(tf.argsort(scores, stable=True))
    return rank >= tf.size(scores) - kept
