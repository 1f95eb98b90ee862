"""Masks that change inside the optimizer's step of a Keras 3 model: one class per way of changing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops as kops

from dlth_tf.masking.exchange_times import ExchangeTimes
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras3 import ops as ops
from dlth_tf.masking.keras3.arrays import HostArray
from dlth_tf.masking.keras3.hook import PauseFn, StepHook
from dlth_tf.masking.keras3.ops import masked, uniform
from dlth_tf.masking.keras3.optimizers import decayed, slots_of
from dlth_tf.masking.mask_arithmetic import drop_and_grow, largest
from dlth_tf.masking.prunable import PrunableWeight


def polynomial_decay(sparsity: float, begin: int, end: int, step: int) -> float:
    """Returns the sparsity of tf-mot's `PolynomialDecay` of power 3 at a step, from 0 at `begin` to `sparsity`."""
    done = np.clip(np.float32(step - begin) / np.float32(max(1, end - begin)), np.float32(0), np.float32(1))
    return float(np.float32(-sparsity) * np.power(np.float32(1) - done, np.float32(3)) + np.float32(sparsity))


class _Update:
    """An update of one prunable weight, whose mask is a variable of the optimizer.

    Args:
      entry: The weight.
      groups: Its groups.
    """

    pause: PauseFn | None = None

    def __init__(self, entry: PrunableWeight, groups: GraphGroups) -> None:
        self.variable = entry.weight
        self.entry = entry
        self.groups = groups
        self.hook: Any = None
        self.mask: Any = None

    def install(self, hook: StepHook) -> None:
        """Notes the optimizer's variable in which the mask lives."""
        self.hook = hook
        self.mask = self.entry.mask.variable

    @property
    def optimizer(self) -> Any:
        """The optimizer whose step this is."""
        return self.hook.optimizer

    def before(self, gradient: Any, variable: Any) -> Any:
        """Returns the gradient as it is."""
        return gradient

    def instead(self, gradient: Any, variable: Any) -> None:
        """Does nothing: another weight's exchange pauses this one."""

    def set_mask(self, mask: Any) -> None:
        """Assigns a boolean mask."""
        self.optimizer.assign(self.mask, kops.cast(mask, self.mask.dtype))

    def apply_mask(self, variable: Any, value: Any) -> None:
        """Assigns a value, zero where the mask is."""
        self.optimizer.assign(variable, masked(value, self.mask))


class GradualMask(_Update):
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

    def after(self, variable: Any) -> None:
        """Updates the mask if that is due, and applies it."""
        since = kops.cast(self.optimizer.iterations, "int32") + 1 - self.begin
        event = kops.clip(since // self.every, 0, len(self.kept) - 1)
        kept = kops.take(kops.convert_to_tensor(self.kept), event)
        mask = kops.convert_to_tensor(self.mask)
        weight = masked(variable, mask)
        # Decided by count, not by step: a step that a loss scale skips may be one that was due.
        more = kops.sum(kops.cast(mask, "int32")) > kept * self.groups.weights
        new = kops.cond(
            kops.logical_and(since >= 0, more),
            lambda: kops.cast(largest(self.groups, weight, kept), mask.dtype),
            lambda: mask,
        )
        self.optimizer.assign(self.mask, new)
        self.apply_mask(variable, weight)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns the mean of the table for the weight and for its gradient (see MaskUpdate)."""
        since = np.arange(first, last) - self.begin
        event = np.minimum(since // self.every, len(self.kept) - 1)
        mean = float(np.where(since < 0, 1.0, self.kept[event] / self.groups.count).mean())
        return mean, mean


class DropAndGrow(_Update):
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
      seed: Two int32 numbers for random growth, which each backend turns into other random numbers; None grows by
        gradient.
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

    def after(self, variable: Any) -> None:
        """Applies the mask."""
        self.apply_mask(variable, variable)

    def instead(self, gradient: Any, variable: Any) -> None:
        """Exchanges groups."""
        event = kops.cast(self.times.event(self.optimizer), "int32")
        counts = self.active, kops.take(kops.convert_to_tensor(self.dropped), event)
        weight = kops.convert_to_tensor(variable)
        new = drop_and_grow(
            self.groups, weight, kops.convert_to_tensor(self.mask), self._growth(gradient, event), counts
        )
        self.set_mask(new.mask)
        for slot in slots_of(self.optimizer, self.entry.weight):
            value = kops.convert_to_tensor(slot)
            self.optimizer.assign(slot, kops.where(new.fresh, kops.zeros_like(value), value))
        self.apply_mask(variable, kops.where(new.fresh, kops.zeros_like(weight), weight))

    def _growth(self, gradient: Any, event: Any) -> Any:
        if self.seed is None:
            return self.groups.pool(kops.abs(kops.convert_to_tensor(gradient)))
        return uniform(self.groups.count, self.seed, event, self.entry.dtype)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities (see MaskUpdate); RigL needs the whole gradient at the steps that exchange weights."""
        density = self.active / self.groups.count
        steps = np.arange(first, last) - self.times.start
        every = self.times.every
        dense = (self.seed is None) & (steps > 0) & (steps % every == 0) & (steps // every <= len(self.dropped))
        return density, float(np.where(dense, 1.0, density).mean())


class TopK(_Update):
    """Top-k straight-through of one weight: the forward pass uses the k groups of largest |w|, the gradient trains all.

    The whole weight is kept next to the variable; the variable itself is sparse at every moment.

    Args:
      entry: The weight, still whole; it is sparse from here on.
      groups: Its groups.
      kept: Number of groups that are kept, k.
      whole: Array of the whole weight, of the same shape and dtype.
    """

    def __init__(self, entry: PrunableWeight, groups: GraphGroups, kept: int, whole: HostArray) -> None:
        super().__init__(entry, groups)
        self.kept = kept
        self.whole = whole
        value = kops.convert_to_tensor(whole.numpy())
        entry.mask.assign(kops.convert_to_numpy(largest(groups, value, kept)))
        entry.weight.assign(np.where(entry.kept(), whole.numpy(), 0))

    def install(self, hook: StepHook) -> None:
        """Gives the whole weight a variable of the optimizer."""
        super().install(hook)
        self._whole = hook.attach(self.entry.weight, "whole", self.whole)

    def before(self, gradient: Any, variable: Any) -> Any:
        """Lets the optimizer make its step on the whole weight."""
        # Keras itself has applied its decoupled weight decay to the sparse weight only.
        whole = kops.convert_to_tensor(self._whole)
        self.optimizer.assign(variable, decayed(self.optimizer, self.entry.weight, whole))
        return gradient

    def after(self, variable: Any) -> None:
        """Keeps the k largest values."""
        whole = kops.convert_to_tensor(variable)
        self.optimizer.assign(self._whole, whole)
        self.set_mask(largest(self.groups, whole, self.kept))
        self.apply_mask(variable, whole)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities (see MaskUpdate); all of the gradient is needed, always."""
        return self.kept / self.groups.count, 1.0


class SignPenalty:
    """The sub-gradient of an L1 penalty, added to the gradient of one variable: g + strength * sign(w).

    Args:
      variable: A trainable variable.
      strength: Strength of the penalty, at least 0.
    """

    pause: PauseFn | None = None

    def __init__(self, variable: Any, strength: float) -> None:
        self.variable = variable
        self.strength = strength

    def install(self, hook: StepHook) -> None:
        """Needs nothing."""

    def before(self, gradient: Any, variable: Any) -> Any:
        """Returns the larger gradient."""
        return kops.convert_to_tensor(gradient) + self.strength * kops.sign(kops.convert_to_tensor(variable))

    def after(self, variable: Any) -> None:
        """Does nothing."""

    def instead(self, gradient: Any, variable: Any) -> None:
        """Does nothing."""

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns 1: nothing is sparse here (see MaskUpdate)."""
        return 1.0, 1.0
