"""Masks that change inside the optimizer's step of a Keras 2 model: one class per way of changing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf.masking.exchange_times import ExchangeTimes
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2 import ops as ops
from dlth_tf.masking.keras2.hook import PauseFn, UpdateFn, masked
from dlth_tf.masking.keras2.optimizers import decayed, slots_of
from dlth_tf.masking.keras2.tfmot import PolynomialDecay
from dlth_tf.masking.mask_arithmetic import drop_and_grow, largest
from dlth_tf.masking.prunable import PrunableWeight


def polynomial_decay(sparsity: float, begin: int, end: int, step: int) -> float:
    """Returns the sparsity of tf-mot's `PolynomialDecay` of power 3 at a step, from 0 at `begin` to `sparsity`."""
    return float(PolynomialDecay(0.0, sparsity, begin, end, power=3)(step)[1])


class GradualMask:
    """Gradual pruning of one weight: after a step that is due, keeps only the largest |w| for the next step.

    A mask that keeps fewer already is left alone, so removed weights never come back.

    Args:
      entry: The weight.
      groups: Its groups.
      begin: The first step that sees a pruned weight.
      every: Steps from one update of the mask to the next.
      kept: int [events], not growing: number of groups that are kept from each update on; the last one stays.
    """

    pause: PauseFn | None = None

    def __init__(self, entry: PrunableWeight, groups: GraphGroups, begin: int, every: int, kept: np.ndarray) -> None:
        self.variable = entry.weight
        self.entry = entry
        self.groups = groups
        self.begin = begin
        self.every = every
        self.kept = np.asarray(kept, np.int32)

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Makes the optimizer's step, updates the mask if that is due, and applies it."""
        step(gradient, variable)
        mask = self.entry.mask
        since = optimizer.iterations + 1 - self.begin
        kept = tf.gather(tf.constant(self.kept), tf.clip_by_value(since // self.every, 0, len(self.kept) - 1))
        # Decided by count, not by step: a step that a loss scale skips may be one that was due.
        more = tf.math.count_nonzero(mask) > tf.cast(kept, tf.int64) * self.groups.weights
        due = (since >= 0) & more
        new = tf.cond(
            due,
            lambda: tf.cast(largest(self.groups, variable, kept), mask.dtype),
            lambda: tf.convert_to_tensor(mask),
        )
        mask.assign(new)
        variable.assign(masked(variable, mask))

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns the mean of the table for the weight and for its gradient (see MaskUpdate)."""
        since = np.arange(first, last) - self.begin
        event = np.minimum(since // self.every, len(self.kept) - 1)
        mean = float(np.where(since < 0, 1.0, self.kept[event] / self.groups.count).mean())
        return mean, mean


class DropAndGrow:
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
      seed: Two int32 numbers for random growth; None grows by gradient. XLA draws other numbers from it than
        TensorFlow.
    """

    def __init__(
        self,
        entry: PrunableWeight,
        groups: GraphGroups,
        times: ExchangeTimes,
        dropped: np.ndarray,
        seed: tuple[int, int] | None = None,
    ) -> None:
        self.variable = entry.weight
        self.entry = entry
        self.groups = groups
        self.dropped = np.asarray(dropped, np.int32)
        self.times = times
        self.pause: PauseFn | None = self.times.due  # equal for all weights of a model: the hook evaluates it once
        self.seed = seed
        self.active = groups.kept(entry)

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

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities (see MaskUpdate); RigL needs the whole gradient at the steps that exchange weights."""
        density = self.active / self.groups.count
        steps = np.arange(first, last) - self.times.start
        every = self.times.every
        dense = (self.seed is None) & (steps > 0) & (steps % every == 0) & (steps // every <= len(self.dropped))
        return density, float(np.where(dense, 1.0, density).mean())


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


class SignPenalty:
    """The sub-gradient of an L1 penalty, added to the gradient of one variable: g + strength * sign(w).

    Args:
      variable: A trainable variable.
      strength: Strength of the penalty, at least 0.
    """

    pause: PauseFn | None = None

    def __init__(self, variable: tf.Variable, strength: float) -> None:
        self.variable = variable
        self.strength = strength

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Makes the optimizer's step with the larger gradient."""
        penalty = tf.cast(self.strength, variable.dtype) * tf.sign(variable)
        step(tf.convert_to_tensor(gradient) + penalty, variable)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns 1: nothing is sparse here (see MaskUpdate)."""
        return 1.0, 1.0
