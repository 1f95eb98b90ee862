"""StraightThrough: top-k with a straight-through gradient inside `fit`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import MaskUpdating
from dlth_tf.core import PruningSpec, Round, kept_groups
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.prunable import tensors_of


class StraightThrough(MaskUpdating):
    """Trains all weights while the network uses only the largest of them (top-k straight-through estimator).

    In every step the gradient is computed at the sparse weights and applied to the whole ones, of which the k largest
    |w| are the next sparse weights (Bengio et al., 2013, arXiv:1308.3432, for the estimator; jaxpruner's `ste` for its
    form with top-k). At the end of `fit` the model has the sparse weights, and the others are lost. Weights that are
    removed when `fit` begins stay removed.

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

    def updates(self) -> list[masking.MaskUpdate]:
        """Returns a `TopK` for every weight of the ticket."""
        entries = masking.prunable_of_ticket(self.model, self.spec)
        state = cast(masking.FitState, self.state)
        free = {name: state[f"free/{name}"].astype(bool) for name in entries}
        masking.check_fits(self.model, self.spec, Round(within=free))
        kept = kept_groups(tensors_of(entries), self.spec)
        kinds = masking.mask_updates(self.model)
        updates = [
            kinds.TopK(
                entry,
                GraphGroups(entry, self.spec.granularity, kinds.ops),
                kept[name],
                state.variable(f"whole/{name}"),
                free[name],
            )
            for name, entry in entries.items()
        ]
        self._wanted = {update.entry.name: update.kept * update.groups.weights for update in updates}
        return [*updates]

    def state_values(self) -> Mapping[str, ArrayLike]:
        """Returns where this `fit` starts, the whole weights that the sparse ones are taken from, and what is free."""
        entries = masking.prunable_of_ticket(self.model, self.spec)
        whole = {f"whole/{name}": entry.weight.numpy() for name, entry in entries.items()}
        return {**super().state_values(), **whole, **{f"free/{name}": entry.kept() for name, entry in entries.items()}}

    def saved_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns which weights were free when training began: the masks, from which they are read, change in it."""
        state = cast(masking.FitState, self.state)
        entries = masking.prunable_of_ticket(self.model, self.spec)
        return {}, {f"free/{name}": np.packbits(state[f"free/{name}"]) for name in entries}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Restores what `saved_state` returned, after the whole weights."""
        state = cast(masking.FitState, self.state)
        for name, entry in masking.prunable_of_ticket(self.model, self.spec).items():
            bits = np.unpackbits(arrays[f"free/{name}"], count=math.prod(entry.shape))
            state[f"free/{name}"] = bits.astype(bool).reshape(entry.shape)
        self._set_up()

    def wanted(self) -> Mapping[str, int]:
        """Returns how many weights of each tensor are left."""
        return self._wanted
