"""Masks that change while the network trains: what stands around the optimizer's own step of one weight.

Every change happens inside the graph, at steps and with counts from tables that were made on the host, so there is no
Python per batch and the results do not depend on `steps_per_execution` or the number of replicas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from dlth_tf.masking.graph_groups import GraphGroups, highest
from dlth_tf.masking.keras2.weights import PrunableWeight

UpdateFn = Callable[[Any, tf.Variable], None]


class MaskUpdate(Protocol):
    """What happens to one variable in an optimizer step."""

    variable: tf.Variable

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """Calls `step(gradient, variable)`, or not, and does whatever belongs before and after it."""

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Mean over the steps first <= t < last: the fraction of the weight in the forward pass, and of its gradient that is needed."""


class GradualMask:
    """Gradual pruning: after a step that is due, only the largest |w| are kept, up to the count of the step to come.

    A mask that keeps fewer already is left alone, so what is removed never comes back.

    Args:
      entry: the weight.
      groups: of it.
      begin: the first step that sees a pruned weight.
      every: steps from one change to the next.
      kept: int [events], not growing: how many groups are kept from each change on; the last stays.
    """

    def __init__(self, entry: PrunableWeight, groups: GraphGroups, begin: int, every: int, kept: np.ndarray) -> None:
        self.variable, self.entry, self.groups = entry.weight, entry, groups
        self.begin, self.every, self.kept = begin, every, np.asarray(kept, np.int32)

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """The optimizer's step, a change of the mask if one is due, and the mask."""
        step(gradient, variable)
        since, mask = optimizer.iterations + 1 - self.begin, self.entry.mask
        kept = tf.gather(tf.constant(self.kept), tf.clip_by_value(since // self.every, 0, len(self.kept) - 1))
        # Asked by count, not by step: a step that a loss scale skips may be one that was due.
        more = tf.math.count_nonzero(mask) > tf.cast(kept, tf.int64) * self.groups.weights
        due = (since >= 0) & more

        def change() -> tf.Tensor:
            return tf.cast(self.groups.spread(highest(self.groups.pool(tf.abs(variable)), kept)), mask.dtype)

        mask.assign(tf.cond(due, change, lambda: tf.convert_to_tensor(mask)))
        variable.assign(variable * mask)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """See MaskUpdate; both are the mean of the table."""
        since = np.arange(first, last) - self.begin
        event = np.minimum(since // self.every, len(self.kept) - 1)
        mean = float(np.where(since < 0, 1.0, self.kept[event] / self.groups.count).mean())
        return mean, mean


class DropAndGrow:
    """Dynamic sparse training: the active groups of smallest |w| are dropped, as many grow elsewhere (SET, RigL).

    A step that changes the mask is no weight step. Of everything that is not kept then, the just dropped too, what has the
    highest growth score becomes active: |gradient| (RigL, Evci et al., ICML 2020) or a random number (SET, Mocanu et al.,
    Nature Communications 2018). Weights that stay or return keep value and optimizer slots; newly grown ones start at
    zero with zero slots. The same as `core.drop_and_grow`, in the graph.

    Args:
      entry: the weight; its mask says what is active at the start.
      groups: of it.
      every: steps from one change to the next; the first is step `every`.
      dropped: int [events]: how many groups each change drops.
      seed: two int32 numbers for random growth; None grows by gradient. XLA makes other numbers of them than TensorFlow.
    """

    def __init__(
        self,
        entry: PrunableWeight,
        groups: GraphGroups,
        every: int,
        dropped: np.ndarray,
        seed: tuple[int, int] | None = None,
    ) -> None:
        self.variable, self.entry, self.groups = entry.weight, entry, groups
        self.every, self.dropped, self.seed = every, np.asarray(dropped, np.int32), seed
        self.active = groups.kept(entry)

    def due(self, optimizer: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Whether this step changes the mask, and which change it is."""
        event = optimizer.iterations // self.every - 1
        return (optimizer.iterations % self.every == 0) & (event >= 0) & (event < len(self.dropped)), event

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """A change of the mask if one is due, otherwise the optimizer's step and the mask."""
        due, event = self.due(optimizer)
        mask, slots = self.entry.mask, slots_of(optimizer, variable)

        def change() -> tf.Tensor:
            active = self.groups.pool(mask) > 0
            count = tf.gather(tf.constant(self.dropped), event)
            lowest = tf.constant(-np.inf, variable.dtype.base_dtype)
            stay = highest(tf.where(active, self.groups.pool(tf.abs(variable)), lowest), self.active - count)
            grown = highest(tf.where(stay, lowest, self._growth(gradient, variable.dtype.base_dtype, event)), count)
            mask.assign(tf.cast(self.groups.spread(stay | grown), mask.dtype))
            fresh = self.groups.spread(grown & ~active)
            for slot in slots:
                slot.assign(tf.where(fresh, tf.zeros_like(slot), slot))
            return tf.where(fresh, tf.zeros_like(variable), variable)

        def ordinary() -> tf.Tensor:
            step(gradient, variable)
            return tf.convert_to_tensor(variable)

        variable.assign(tf.cond(due, change, ordinary) * mask)

    def _growth(self, gradient: Any, dtype: tf.DType, event: tf.Tensor) -> tf.Tensor:
        if self.seed is None:
            return self.groups.pool(tf.abs(tf.convert_to_tensor(gradient)))
        seed = tf.stack(
            [tf.constant(self.seed[0], tf.int64), tf.constant(self.seed[1], tf.int64) + tf.cast(event, tf.int64)]
        )
        return tf.random.stateless_uniform([self.groups.count], seed, dtype=dtype, alg="philox")

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """See MaskUpdate; growing by gradient needs all of it, at the steps that change the mask."""
        density = self.active / self.groups.count
        steps = np.arange(first, last)
        dense = (
            (self.seed is None) & (steps > 0) & (steps % self.every == 0) & (steps // self.every <= len(self.dropped))
        )
        return density, float(np.where(dense, 1.0, density).mean())


class TopK:
    """Top-k straight-through: the forward pass sees the k groups of largest |w|, the gradient trains all weights.

    The whole weight lives beside the variable; the variable itself is sparse at every moment.

    Args:
      entry: the weight, still whole; it is sparse from here on.
      groups: of it.
      kept: k.
    """

    def __init__(self, entry: PrunableWeight, groups: GraphGroups, kept: int) -> None:
        self.variable, self.entry, self.groups, self.kept = entry.weight, entry, groups, kept
        self.whole = tf.Variable(tf.convert_to_tensor(entry.weight), trainable=False)
        self._apply(entry.weight)

    def _apply(self, variable: tf.Variable) -> None:
        chosen = highest(self.groups.pool(tf.abs(self.whole)), self.kept)
        self.entry.mask.assign(tf.cast(self.groups.spread(chosen), self.entry.mask.dtype))
        variable.assign(self.whole * self.entry.mask)

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """The optimizer's step on the whole weight, then its k largest values."""
        with tf.control_dependencies(
            tf.nest.flatten(gradient, expand_composites=True)
        ):  # no change without data: see StepHook
            variable.assign(self._decayed(optimizer, variable))
        step(gradient, variable)
        self.whole.assign(variable)
        self._apply(variable)

    def state(self) -> list[tf.Variable]:
        """What is not in the network: a checkpoint needs it too."""
        return [self.whole]

    def _decayed(self, optimizer: Any, variable: tf.Variable) -> tf.Tensor:
        """The whole weight, less Keras' decoupled weight decay, which Keras itself has given to the sparse one only."""
        whole = tf.convert_to_tensor(self.whole)
        if optimizer.weight_decay is None or not optimizer._use_weight_decay(variable):
            return whole
        return whole * (
            1 - tf.cast(optimizer.learning_rate, whole.dtype) * tf.cast(optimizer.weight_decay, whole.dtype)
        )

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """See MaskUpdate; all of the gradient is needed, always."""
        return self.kept / self.groups.count, 1.0


class SignPenalty:
    """The L1 penalty's sub-gradient, added to the gradient of one variable: g + strength * sign(w).

    Args:
      variable: a trainable variable.
      strength: of the penalty, at least 0.
    """

    def __init__(self, variable: tf.Variable, strength: float) -> None:
        self.variable, self.strength = variable, strength

    def update(self, step: UpdateFn, gradient: Any, optimizer: Any, variable: tf.Variable) -> None:
        """The optimizer's step with the larger gradient."""
        step(tf.convert_to_tensor(gradient) + tf.cast(self.strength, variable.dtype) * tf.sign(variable), variable)

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """See MaskUpdate; nothing is sparse here."""
        return 1.0, 1.0


def slots_of(optimizer: Any, variable: tf.Variable) -> list[tf.Variable]:
    """The optimizer's own variables for one weight: velocities, moments."""
    index, number = optimizer._index_dict[optimizer._var_key(variable)], len(optimizer._index_dict)
    own = {
        id(slot) for slot in optimizer.variables
    }  # what an optimizer keeps are its slots, and the model's variables beside them
    lists = [value for value in vars(optimizer).values() if isinstance(value, list | tuple) and len(value) == number]
    return [value[index] for value in lists if id(value[index]) in own and value[index].shape == variable.shape]
