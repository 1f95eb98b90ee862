"""GradualMagnitude: gradual magnitude pruning inside `fit`, on tf-mot's own schedule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import ChangingMask, positive
from dlth_tf.core import kept_groups, parse_sparsity
from dlth_tf.errors import BadInput
from dlth_tf.masking.changing import GradualMask, MaskUpdate
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2.tfmot import PolynomialDecay


class GradualMagnitude(ChangingMask):
    """Removes ever more of the smallest weights while the network trains (Zhu and Gupta, 2017, arXiv:1710.01878).

    The sparsity at a step is what tf-mot's `PolynomialDecay` says, from 0 at `begin` to `sparsity` at `end` with power 3;
    which weights go, and how many exactly, is as in every other ticket here. As in tf-mot a step that is due sees the
    smaller mask already. The whole sparsity is there from the first pruning at or after `end`, which must be within this `fit`.

    Args:
      sparsity: fraction removed at the end, at least 0 and below 1.
      begin: first optimizer step that prunes, at least 1; None: at a quarter of this `fit`.
      end: optimizer step at which the schedule has reached the whole sparsity; None: half of this `fit`.
      every: optimizer steps from one pruning to the next.
      allocation: as in `dlth_tf.random_ticket`, but "global".
      granularity: as in `dlth_tf.random_ticket`, but n:m.
      dense_layers: as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: at construction for a value out of range, at the start of `fit` for what does not fit the model or its length.
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
        self.sparsity, self.every = float(parse_sparsity(sparsity)), positive("every", every)
        self.begin = begin if begin is None else positive("begin", begin)
        self.end = end if end is None else positive("end", end)
        self.allocation, self.granularity, self.dense_layers = allocation, granularity, dense_layers

    def steps(self) -> tuple[int, int]:
        """The first step that prunes and the one at which the schedule ends."""
        if self.begin is not None and self.end is not None:
            begin, end = self.begin, self.end
        elif (total := self.total_steps()) is None:
            raise BadInput(
                "end", self.end, "must be given in steps, and begin too, since the length of the data is not known"
            )
        else:
            begin, end = self.begin or max(1, total // 4), self.end or max(1, total // 2)
        if end < begin:
            raise BadInput("end", end, f"must be at least {begin}, the first step that prunes")
        return begin, end

    def changes(self) -> list[MaskUpdate]:
        """See ChangingMask."""
        begin, end = self.steps()
        events = [*range(begin, end, self.every)]
        self._check_length(end, begin + len(events) * self.every)
        shares = [*(self.share(step, begin, end) for step in events), 1.0]
        entries = masking.prunable_of_ticket(self.model, self.dense_layers, self.granularity)
        shapes = {name: entry.shape for name, entry in entries.items()}
        layouts = {name: entry.layout for name, entry in entries.items()}
        kept = [
            kept_groups(shapes, self.sparsity, self.allocation, self.granularity, share=share, layouts=layouts)
            for share in shares
        ]
        return [
            GradualMask(
                entry,
                GraphGroups(entry, self.granularity),
                begin,
                self.every,
                np.array([counts[name] for counts in kept]),
            )
            for name, entry in entries.items()
        ]

    def _check_length(self, end: int, last: int) -> None:
        total = self.total_steps()
        if total is None:
            return
        total += int(masking.inner_optimizer(self.model).iterations.numpy())  # if it goes on with an interrupted fit
        if last > total:
            raise BadInput(
                "end", end, f"is too late: the last pruning is at step {last}, and this fit ends after {total}"
            )

    def share(self, step: int, begin: int, end: int) -> float:
        """The part of the sparsity that tf-mot's schedule has reached at a step, 0 to 1."""
        decay = PolynomialDecay(0.0, self.sparsity, begin, end, power=3, frequency=self.every)
        return min(1.0, float(decay(step)[1]) / self.sparsity) if self.sparsity else 1.0
