"""Masks that change inside the optimizer's step of a Keras 3 model: one class per way of changing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops as kops

from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras3 import ops as ops
from dlth_tf.masking.keras3.arrays import HostArray
from dlth_tf.masking.keras3.hook import StepHook
from dlth_tf.masking.keras3.ops import choose, masked, uniform
from dlth_tf.masking.keras3.optimizers import decayed, slots_of
from dlth_tf.masking.mask_arithmetic import drop_and_grow, largest
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.weight_updates import ExchangeUpdate, GradualUpdate, PenaltyUpdate, StraightThroughUpdate


def polynomial_decay(sparsity: float, begin: int, end: int, step: int) -> float:
    """Returns the sparsity of tf-mot's `PolynomialDecay` of power 3 at a step, from 0 at `begin` to `sparsity`."""
    done = np.clip(np.float32(step - begin) / np.float32(max(1, end - begin)), np.float32(0), np.float32(1))
    return float(np.float32(-sparsity) * np.power(np.float32(1) - done, np.float32(3)) + np.float32(sparsity))


class _InStep:
    """An update of one prunable weight in the step of whichever optimizer updates it; its mask is a variable there."""

    entry: PrunableWeight
    mask: Any

    def install(self, hook: StepHook) -> None:
        """Notes the variable in which the mask lives, the same for all optimizers of the model."""
        self.mask = self.entry.mask.variable

    def before(self, optimizer: Any, gradient: Any, variable: Any) -> Any:
        """Returns the gradient as it is."""
        return gradient

    def instead(self, optimizer: Any, gradient: Any, variable: Any) -> None:
        """Does nothing: another weight's exchange pauses this one."""

    def set_mask(self, optimizer: Any, mask: Any) -> None:
        """Assigns a boolean mask."""
        optimizer.assign(self.mask, kops.cast(mask, self.mask.dtype))

    def apply_mask(self, optimizer: Any, variable: Any, value: Any) -> None:
        """Assigns a value, zero where the mask is."""
        optimizer.assign(variable, masked(value, self.mask))


class GradualMask(_InStep, GradualUpdate):
    """Gradual pruning of one weight inside the step (see `GradualUpdate`)."""

    def after(self, optimizer: Any, variable: Any) -> None:
        """Updates the mask if that is due, and applies it."""
        since = kops.cast(optimizer.iterations, "int32") + 1 - self.begin
        event = kops.clip(since // self.every, 0, len(self.kept) - 1)
        kept = kops.take(kops.convert_to_tensor(self.kept), event)
        mask = kops.convert_to_tensor(self.mask)
        weight = masked(variable, mask)
        # Decided by count, not by step: a step that a loss scale skips may be one that was due.
        more = kops.sum(kops.cast(mask, "int32")) > kept * self.groups.weights
        new = choose(
            kops.logical_and(since >= 0, more),
            lambda: kops.cast(largest(self.groups, weight, kept, mask), mask.dtype),
            lambda: mask,
        )
        optimizer.assign(self.mask, new)
        self.apply_mask(optimizer, variable, weight)


class DropAndGrow(_InStep, ExchangeUpdate):
    """Dynamic sparse training of one weight inside the step (see `ExchangeUpdate`)."""

    def after(self, optimizer: Any, variable: Any) -> None:
        """Applies the mask."""
        self.apply_mask(optimizer, variable, variable)

    def instead(self, optimizer: Any, gradient: Any, variable: Any) -> None:
        """Exchanges groups."""
        event = kops.cast(self.times.event(optimizer), "int32")
        counts = self.active, kops.take(kops.convert_to_tensor(self.dropped), event)
        weight = kops.convert_to_tensor(variable)
        new = drop_and_grow(
            self.groups, weight, kops.convert_to_tensor(self.mask), self._growth(gradient, event), counts
        )
        self.set_mask(optimizer, new.mask)
        for slot in slots_of(optimizer, self.entry.weight):
            value = kops.convert_to_tensor(slot)
            optimizer.assign(slot, kops.where(new.fresh, kops.zeros_like(value), value))
        self.apply_mask(optimizer, variable, kops.where(new.fresh, kops.zeros_like(weight), weight))

    def _growth(self, gradient: Any, event: Any) -> Any:
        if self.seed is None:
            return self.groups.pool(kops.abs(kops.convert_to_tensor(gradient)))
        return uniform(self.groups.count, self.seed, event, self.entry.dtype)


class TopK(_InStep, StraightThroughUpdate):
    """Top-k straight-through of one weight inside the step (see `StraightThroughUpdate`)."""

    def __init__(
        self,
        entry: PrunableWeight,
        groups: GraphGroups,
        kept: int,
        whole: HostArray,
        free: np.ndarray | None = None,
    ) -> None:
        super().__init__(entry, groups, kept, whole, free)
        self._free = None if self.free is None else kops.convert_to_tensor(self.free)
        value = kops.convert_to_tensor(whole.numpy())
        entry.mask.assign(kops.convert_to_numpy(largest(groups, value, kept, self._free)))
        entry.weight.assign(np.where(entry.kept(), whole.numpy(), 0))

    def install(self, hook: StepHook) -> None:
        """Gives the whole weight, and what of it is free, variables of the optimizer."""
        super().install(hook)
        self._whole = hook.attach(self.entry.weight, "whole", self.whole)
        self._free = None if self.free is None else hook.add(self.entry.weight, "free", self.free)

    def before(self, optimizer: Any, gradient: Any, variable: Any) -> Any:
        """Lets the optimizer make its step on the whole weight."""
        # Keras itself has applied its decoupled weight decay to the sparse weight only.
        whole = kops.convert_to_tensor(self._whole)
        optimizer.assign(variable, decayed(optimizer, self.entry.weight, whole))
        return gradient

    def after(self, optimizer: Any, variable: Any) -> None:
        """Keeps the k largest values."""
        free = None if self._free is None else kops.convert_to_tensor(self._free)
        whole = kops.convert_to_tensor(variable) if free is None else masked(variable, free)
        optimizer.assign(self._whole, whole)
        self.set_mask(optimizer, largest(self.groups, whole, self.kept, free))
        self.apply_mask(optimizer, variable, whole)


class SignPenalty(PenaltyUpdate):
    """An L1 penalty on one variable inside the step (see `PenaltyUpdate`)."""

    def install(self, hook: StepHook) -> None:
        """Needs nothing."""

    def before(self, optimizer: Any, gradient: Any, variable: Any) -> Any:
        """Returns the larger gradient."""
        return kops.convert_to_tensor(gradient) + self.strength * kops.sign(kops.convert_to_tensor(variable))

    def after(self, optimizer: Any, variable: Any) -> None:
        """Does nothing."""

    def instead(self, optimizer: Any, gradient: Any, variable: Any) -> None:
        """Does nothing."""
