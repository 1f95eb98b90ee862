"""Masks that change inside the optimizer's step of a Keras 2 model: one class per way of changing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2 import ops as ops
from dlth_tf.masking.keras2.hook import UpdateFn, masked
from dlth_tf.masking.keras2.optimizers import decayed, slots_of
from dlth_tf.masking.keras2.tfmot import PolynomialDecay
from dlth_tf.masking.mask_arithmetic import drop_and_grow, largest
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.weight_updates import ExchangeUpdate, GradualUpdate, PenaltyUpdate, StraightThroughUpdate


def polynomial_decay(sparsity: float, begin: int, end: int, step: int) -> float:
    """Returns the sparsity of tf-mot's `PolynomialDecay` of power 3 at a step, from 0 at `begin` to `sparsity`."""
    return float(PolynomialDecay(0.0, sparsity, begin, end, power=3)(step)[1])


class GradualMask(GradualUpdate):
    """Gradual pruning of one weight inside the step (see `GradualUpdate`)."""

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Makes the optimizer's step, updates the mask if that is due, and applies it."""
        step(gradient, variable)
        mask = self.entry.mask
        since = optimizer.iterations + 1 - self.begin
        kept = tf.gather(tf.constant(self.kept), tf.clip_by_value(since // self.every, 0, len(self.kept) - 1))
        # Decided by count, not by step: a step that a loss scale skips may be one that was due.
        more = tf.math.count_nonzero(mask) > tf.cast(kept, tf.int64) * self.groups.weights
        due = (since >= 0) & more
        weight = masked(variable, mask)  # a removed weight stays removed, however large the optimizer has made it
        new = tf.cond(
            due,
            lambda: tf.cast(largest(self.groups, weight, kept, mask), mask.dtype),
            lambda: tf.convert_to_tensor(mask),
        )
        mask.assign(new)
        variable.assign(masked(weight, mask))


class DropAndGrow(ExchangeUpdate):
    """Dynamic sparse training of one weight inside the step (see `ExchangeUpdate`)."""

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Exchanges groups if that is due, otherwise makes the optimizer's step; then applies the mask."""
        event = self.times.event(optimizer)
        mask = self.entry.mask
        slots = slots_of(optimizer, variable)

        def exchange() -> tf.Tensor:
            growth = self._growth(gradient, variable.dtype.base_dtype, event)
            counts = self.active, tf.gather(tf.constant(self.dropped), event)
            new = drop_and_grow(self.groups, variable, mask, growth, counts)
            mask.assign(tf.cast(new.mask, mask.dtype))
            for slot in slots:
                slot.assign(tf.where(new.fresh, tf.zeros_like(slot), slot))
            return tf.where(new.fresh, tf.zeros_like(variable), variable)

        def ordinary() -> tf.Tensor:
            step(gradient, variable)
            return tf.convert_to_tensor(variable)

        variable.assign(masked(tf.cond(self.times.due(optimizer), exchange, ordinary), mask))

    def _growth(self, gradient: Any, dtype: tf.DType, event: tf.Tensor) -> tf.Tensor:
        if self.seed is None:
            return self.groups.pool(tf.abs(tf.convert_to_tensor(gradient)))
        first, second = self.seed
        seed = tf.stack([tf.constant(first, tf.int64), tf.constant(second, tf.int64) + tf.cast(event, tf.int64)])
        return tf.random.stateless_uniform([self.groups.count], seed, dtype=dtype, alg="philox")


class TopK(StraightThroughUpdate):
    """Top-k straight-through of one weight inside the step (see `StraightThroughUpdate`)."""

    def __init__(
        self,
        entry: PrunableWeight,
        groups: GraphGroups,
        kept: int,
        whole: tf.Variable,
        free: np.ndarray | None = None,
    ) -> None:
        super().__init__(entry, groups, kept, whole, free)
        self._apply(entry.weight)

    def _apply(self, variable: tf.Variable) -> None:
        mask = largest(self.groups, self.whole, self.kept, self.free)
        self.entry.mask.assign(tf.cast(mask, self.entry.mask.dtype))
        variable.assign(masked(self.whole, self.entry.mask))

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Makes the optimizer's step on the whole weight, then keeps its k largest values."""
        # No update without data: Keras runs the step once more to find the end of data of unknown length.
        with tf.control_dependencies(tf.nest.flatten(gradient, expand_composites=True)):
            # Keras itself has applied its decoupled weight decay to the sparse weight only.
            variable.assign(decayed(optimizer, variable, tf.convert_to_tensor(self.whole)))
        step(gradient, variable)
        self.whole.assign(variable if self.free is None else masked(variable, self.free))
        self._apply(variable)

    def state(self) -> list[tf.Variable]:
        """Returns the variables outside the network that a checkpoint needs."""
        return [self.whole]


class SignPenalty(PenaltyUpdate):
    """An L1 penalty on one variable inside the step (see `PenaltyUpdate`)."""

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Makes the optimizer's step with the larger gradient."""
        penalty = tf.cast(self.strength, variable.dtype) * tf.sign(variable)
        step(tf.convert_to_tensor(gradient) + penalty, variable)
