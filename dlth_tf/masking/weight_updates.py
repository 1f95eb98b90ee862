"""Values and densities of the mask updates inside the optimizer's step, the same in both Kerases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlth_tf.masking.exchange_times import ExchangeTimes
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.prunable import PrunableWeight

PauseFn = Callable[[Any], Any]  # from the optimizer to whether no other variable is updated in this step


class WeightUpdate:
    """An update of the mask of one weight.

    Args:
      entry: The weight.
      groups: Its groups.
    """

    pause: PauseFn | None = None  # None: never

    def __init__(self, entry: PrunableWeight, groups: GraphGroups) -> None:
        self.variable = entry.weight
        self.entry = entry
        self.groups = groups


class GradualUpdate(WeightUpdate):
    """Gradual pruning of one weight: after a step that is due, keeps only the largest |w| for the next step.

    A mask that keeps fewer already is left alone, so removed weights never come back.

    Args:
      entry: The weight.
      groups: Its groups.
      begin: The first step that sees a pruned weight.
      every: Steps from one update of the mask to the next.
      kept: int [events], not growing: number of groups that are kept from each update on; the last one stays.
    """

    def __init__(self, entry: PrunableWeight, groups: GraphGroups, begin: int, every: int, kept: np.ndarray) -> None:
        super().__init__(entry, groups)
        self.begin = begin
        self.every = every
        self.kept = np.asarray(kept, np.int32)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns the mean of the table for the weight and for its gradient (see MaskUpdate)."""
        since = np.arange(first, last) - self.begin
        event = np.minimum(since // self.every, len(self.kept) - 1)
        mean = float(np.where(since < 0, 1.0, self.kept[event] / self.groups.count).mean())
        return mean, mean


class ExchangeUpdate(WeightUpdate):
    """Dynamic sparse training of one weight: drops the groups of smallest |w| and grows as many elsewhere (SET, RigL).

    A step that exchanges groups is no weight step. Of all groups that are not kept then, the just dropped too, those
    with the highest growth score become active: |gradient| (RigL, Evci et al., ICML 2020) or a random number (SET,
    Mocanu et al., Nature Communications 2018). Weights that stay or return keep value and optimizer slots; newly grown
    ones start at zero with zero slots.

    Args:
      entry: The weight; its mask marks the groups that are active at the start.
      groups: Its groups.
      times: Steps that exchange groups.
      dropped: int [events]: number of groups that each exchange drops.
      seed: Two int32 numbers for random growth, which XLA and each backend turn into other random numbers; None grows
        by gradient.
    """

    def __init__(
        self,
        entry: PrunableWeight,
        groups: GraphGroups,
        times: ExchangeTimes,
        dropped: np.ndarray,
        seed: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(entry, groups)
        self.dropped = np.asarray(dropped, np.int32)
        self.times = times
        self.pause = times.due  # equal for all weights of a model: the hook evaluates it once
        self.seed = seed
        self.active = groups.kept(entry)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities (see MaskUpdate); RigL needs the whole gradient at the steps that exchange weights."""
        density = self.active / self.groups.count
        steps = np.arange(first, last) - self.times.start
        every = self.times.every
        dense = (self.seed is None) & (steps > 0) & (steps % every == 0) & (steps // every <= len(self.dropped))
        return density, float(np.where(dense, 1.0, density).mean())


class StraightThroughUpdate(WeightUpdate):
    """Top-k straight-through of one weight: the forward pass uses the k groups of largest |w|, the gradient trains all.

    The whole weight is kept next to the variable; the variable itself is sparse at every moment.

    Args:
      entry: The weight, still whole where it is free; it is sparse from here on.
      groups: Its groups.
      kept: Number of groups that are kept, k.
      whole: Variable or array of the whole weight, of the same shape and dtype.
      free: Boolean array of the same shape, True = may be kept, the same for all of a group; None: all. What is not
        free stays removed.
    """

    def __init__(
        self, entry: PrunableWeight, groups: GraphGroups, kept: int, whole: Any, free: np.ndarray | None = None
    ) -> None:
        super().__init__(entry, groups)
        self.kept = kept
        self.whole = whole
        self.free = None if free is None or free.all() else free.astype(entry.dtype)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities (see MaskUpdate); all of the gradient is needed, always."""
        return self.kept / self.groups.count, 1.0


class PenaltyUpdate:
    """The sub-gradient of an L1 penalty, added to the gradient of one variable: g + strength * sign(w).

    Args:
      variable: A trainable variable.
      strength: Strength of the penalty, at least 0.
    """

    pause: PauseFn | None = None

    def __init__(self, variable: Any, strength: float) -> None:
        self.variable = variable
        self.strength = strength

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns 1: nothing is sparse here (see MaskUpdate)."""
        return 1.0, 1.0
