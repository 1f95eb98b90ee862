"""GradualMagnitude: gradual magnitude pruning inside `fit`, on tf-mot's own schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import MaskUpdating
from dlth_tf.core import PruningSpec, kept_groups
from dlth_tf.errors import BadInput
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.prunable import tensors_of
from dlth_tf.plain_numbers import whole_number, whole_or_none


class GradualMagnitude(MaskUpdating):
    """Removes more and more of the smallest weights during training (Zhu and Gupta, 2017, arXiv:1710.01878).

    The sparsity at a step is that of tf-mot's `PolynomialDecay`, from 0 at `begin` to `sparsity` at `end` with power 3;
    which weights are removed, and their exact number, is decided as for every other ticket. As in tf-mot a step that is
    due already sees the smaller mask. The full sparsity is reached by the first pruning at or after `end`, which must
    be within this `fit`. Weights that are removed when `fit` begins stay removed.

    Args:
      sparsity: Fraction removed at the end, at least 0 and below 1.
      begin: First optimizer step that prunes, at least 1; None: at a quarter of this `fit`.
      end: Optimizer step at which the schedule reaches the full sparsity; None: half of this `fit`.
      every: Optimizer steps from one pruning to the next.
      allocation: Distribution of the sparsity over tensors, as in `dlth_tf.random_ticket`, but not "global".
      granularity: Groups that are removed as one piece, as in `dlth_tf.random_ticket`, but not n:m.
      dense_layers: Layers that are kept whole, as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit` for one that does not fit the model or its
        length.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        begin: int | None = None,
        end: int | None = None,
        every: int = 100,
        allocation: str = "uniform",
        granularity: str = "weight",
        dense_layers: str | Sequence[str] = "auto",
    ) -> None:
        super().__init__()
        self.spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers).check_fixed_counts(
            "GradualMagnitude"
        )
        self.sparsity = float(self.spec.sparsity)
        self.every = whole_number("every", every, least=1)
        self.begin = whole_or_none("begin", begin, least=1)
        self.end = whole_or_none("end", end, least=1)
        if self.begin is not None and self.end is not None:
            self.steps()  # raises at once if they are in the wrong order
        self._wanted: dict[str, int] = {}
        self._last = 0

    def steps(self) -> tuple[int, int]:
        """Returns the first step that prunes and the step at which the schedule ends."""
        if self.begin is not None and self.end is not None:
            begin, end = self.begin, self.end
        elif (last := self.end_of_fit()) is None:
            missing = "begin" if self.end is not None else "end"
            raise BadInput(missing, None, "must be given in steps, since the length of the data is unknown")
        else:
            total = last - self._start
            begin = self.begin or self._start + max(1, total // 4)
            end = self.end or self._start + max(1, total // 2)
        if end < begin and self.end is None:
            raise BadInput("begin", begin, f"must be at most {end}, half of this fit, unless end is given too")
        if end < begin:
            raise BadInput("end", end, f"must be at least {begin}, the first step that prunes")
        return begin, end

    def updates(self) -> list[masking.MaskUpdate]:
        """Returns a `GradualMask` for every weight of the ticket."""
        begin, end = self.steps()
        events = [*range(begin, end, self.every)]
        self._last = begin + len(events) * self.every
        self._check_length(end)
        shares = [*(self.share(step, begin, end) for step in events), 1.0]
        masking.check_fits(self.model, self.spec, masking.within_what_is_kept(self.model))
        entries = masking.prunable_of_ticket(self.model, self.spec)
        counts = [kept_groups(tensors_of(entries), self.spec, share) for share in shares]
        # Largest remainders may give one group more for a smaller budget, and what is removed never comes back.
        kept = {name: np.maximum.accumulate([each[name] for each in reversed(counts)])[::-1] for name in entries}
        kinds = masking.mask_updates(self.model)
        masks = {
            name: kinds.GradualMask(
                entry,
                GraphGroups(entry, self.spec.granularity, kinds.ops),
                begin,
                self.every,
                kept[name],
            )
            for name, entry in entries.items()
        }
        self._wanted = {name: int(mask.kept[-1]) * mask.groups.weights for name, mask in masks.items()}
        return list(masks.values())

    def wanted(self) -> Mapping[str, int]:
        """Returns how many weights of each tensor the full sparsity leaves."""
        return self._wanted

    def missed(self) -> str:
        """Returns how far training came, and a remedy."""
        if self._steps > self._last:
            return super().missed()
        return (
            f"training ended after {self._steps} optimizer steps, and the last pruning was due at step {self._last}: "
            f"train on, or pass an earlier end (and let EarlyStopping start from a later epoch)"
        )

    def _check_length(self, end: int) -> None:
        last = self.end_of_fit()
        if last is not None and self._last > last:
            when = f"the last pruning is at step {self._last}, and this fit ends after {last}"
            if self.end is None:
                raise BadInput("every", self.every, f"is too large: {when}")
            raise BadInput("end", end, f"is too late: {when}")

    def share(self, step: int, begin: int, end: int) -> float:
        """Returns the fraction of the sparsity that tf-mot's schedule has reached at a step, 0 to 1."""
        if not self.sparsity:
            return 1.0
        reached = masking.mask_updates(self.model).polynomial_decay(self.sparsity, begin, end, step)
        return min(1.0, reached / self.sparsity)
