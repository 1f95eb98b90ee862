"""StraightThrough: top-k with a straight-through gradient inside `fit`."""

from __future__ import annotations

from collections.abc import Sequence

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import ChangingMask
from dlth_tf.core import kept_groups
from dlth_tf.masking.changing import MaskUpdate, TopK
from dlth_tf.masking.graph_groups import GraphGroups


class StraightThrough(ChangingMask):
    """Trains all weights while the network uses only the largest of them (top-k straight-through estimator).

    In every step the gradient is taken at the sparse weights and applied to the whole ones, of which the k largest |w|
    then make the next sparse weights (Bengio et al., 2013, arXiv:1308.3432, for the estimator; jaxpruner's `ste` for its
    form with top-k). At the end of `fit` the sparse weights are the model's, and the others are lost.

    Args:
      sparsity: fraction removed, at least 0 and below 1.
      allocation: as in `dlth_tf.random_ticket`, but "global".
      granularity: as in `dlth_tf.random_ticket`, but n:m.
      dense_layers: as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: at the start of `fit`, for what does not fit the model.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        allocation: str = "uniform",
        granularity: str = "weight",
        dense_layers: str | Sequence[str] = "auto",
    ) -> None:
        super().__init__()
        self.sparsity, self.allocation, self.granularity, self.dense_layers = (
            sparsity,
            allocation,
            granularity,
            dense_layers,
        )

    def changes(self) -> list[MaskUpdate]:
        """See ChangingMask."""
        entries = masking.prunable_of_ticket(self.model, self.dense_layers, self.granularity)
        shapes = {name: entry.shape for name, entry in entries.items()}
        layouts = {name: entry.layout for name, entry in entries.items()}
        kept = kept_groups(shapes, self.sparsity, self.allocation, self.granularity, layouts=layouts)
        return [TopK(entry, GraphGroups(entry, self.granularity), kept[name]) for name, entry in entries.items()]
