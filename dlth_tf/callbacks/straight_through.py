"""StraightThrough: top-k with a straight-through gradient inside `fit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import tensorflow as tf
from numpy.typing import ArrayLike

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import MaskUpdating
from dlth_tf.core import PruningSpec, kept_groups
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2 import ops
from dlth_tf.masking.keras2.hook import MaskUpdate, PauseFn, UpdateFn, masked
from dlth_tf.masking.keras2.optimizers import decayed
from dlth_tf.masking.mask_arithmetic import largest
from dlth_tf.masking.prunable import PrunableWeight, tensors_of


class StraightThrough(MaskUpdating):
    """Trains all weights while the network uses only the largest of them (top-k straight-through estimator).

    In every step the gradient is computed at the sparse weights and applied to the whole ones, of which the k largest
    |w| are the next sparse weights (Bengio et al., 2013, arXiv:1308.3432, for the estimator; jaxpruner's `ste` for its
    form with top-k). At the end of `fit` the model has the sparse weights, and the others are lost.

    Args:
      sparsity: Fraction removed, at least 0 and below 1.
      allocation: Distribution of the sparsity over tensors, as in `dlth_tf.random_ticket`, but not "global".
      granularity: Groups that are removed as one piece, as in `dlth_tf.random_ticket`, but not n:m.
      dense_layers: Layers that are kept whole, as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit` for one that does not fit the model.
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
        self.spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers).check_fixed_counts(
            "StraightThrough"
        )
        self._wanted: dict[str, int] = {}

    def updates(self) -> list[MaskUpdate]:
        """Returns a `TopK` for every weight of the ticket."""
        entries = masking.prunable_of_ticket(self.model, self.spec)
        kept = kept_groups(tensors_of(entries), self.spec)
        updates = [
            TopK(entry, GraphGroups(entry, self.spec.granularity, ops), kept[name], self._whole(name))
            for name, entry in entries.items()
        ]
        self._wanted = {update.entry.name: update.kept * update.groups.weights for update in updates}
        return [*updates]

    def state_values(self) -> Mapping[str, ArrayLike]:
        """Returns where this `fit` starts, and the whole weights that the sparse ones are taken from."""
        entries = masking.prunable_of_ticket(self.model, self.spec)
        return {**super().state_values(), **{f"whole/{name}": entry.weight.numpy() for name, entry in entries.items()}}

    def _whole(self, name: str) -> tf.Variable:
        return cast(masking.FitState, self.state).variable(f"whole/{name}")

    def wanted(self) -> Mapping[str, int]:
        """Returns how many weights of each tensor are left."""
        return self._wanted


class TopK:
    """Top-k straight-through of one weight: the forward pass uses the k groups of largest |w|, the gradient trains all.

    The whole weight is kept next to the variable; the variable itself is sparse at every moment.

    Args:
      entry: The weight, still whole; it is sparse from here on.
      groups: Its groups.
      kept: Number of groups that are kept, k.
      whole: Variable of the whole weight, of the same shape and dtype.
    """

    pause: PauseFn | None = None

    def __init__(self, entry: PrunableWeight, groups: GraphGroups, kept: int, whole: tf.Variable) -> None:
        self.variable = entry.weight
        self.entry = entry
        self.groups = groups
        self.kept = kept
        self.whole = whole
        self._apply(entry.weight)

    def _apply(self, variable: tf.Variable) -> None:
        self.entry.mask.assign(tf.cast(largest(self.groups, self.whole, self.kept), self.entry.mask.dtype))
        variable.assign(masked(self.whole, self.entry.mask))

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Makes the optimizer's step on the whole weight, then keeps its k largest values."""
        # No update without data: Keras runs the step once more to find the end of data of unknown length.
        with tf.control_dependencies(tf.nest.flatten(gradient, expand_composites=True)):
            # Keras itself has applied its decoupled weight decay to the sparse weight only.
            variable.assign(decayed(optimizer, variable, tf.convert_to_tensor(self.whole)))
        step(gradient, variable)
        self.whole.assign(variable)
        self._apply(variable)

    def state(self) -> list[tf.Variable]:
        """Returns the variables outside the network that a checkpoint needs."""
        return [self.whole]

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities (see MaskUpdate); all of the gradient is needed, always."""
        return self.kept / self.groups.count, 1.0
