"""Sparsity, mean magnitudes and finiteness of the weights, each in one traced call however many tensors there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking


@dataclass(frozen=True)
class WeightStatistics:
    """Statistics of the prunable weights at one moment.

    Attributes:
      kept: Fraction of each tensor that is not removed, by name.
      sparsity: Fraction removed of all prunable tensors together.
      magnitude_kept: Mean |w| inside the ticket, over the tensors that it prunes; 0 if no tensor is pruned.
      magnitude_removed: The same outside the ticket.
    """

    kept: Mapping[str, float]
    sparsity: float
    magnitude_kept: float
    magnitude_removed: float


def weight_statistics(model: tf_keras.Model) -> Callable[[], WeightStatistics]:
    """Returns a function that measures the present weights, masks and tickets of a wrapped model."""
    entries = masking.prunable_weights(model)
    sizes = np.array([np.prod(entry.shape, dtype=np.int64) for entry in entries.values()])

    @tf.function(autograph=False)
    def measure() -> tf.Tensor:
        return tf.stack([_sums(entry) for entry in entries.values()])

    def statistics() -> WeightStatistics:
        not_removed, chosen, of_chosen, of_others = measure().numpy().T
        others = sizes - chosen
        pruned = others > 0
        kept, removed = (
            float(total[pruned].sum() / max(count[pruned].sum(), 1))
            for total, count in ((of_chosen, chosen), (of_others, others))
        )
        removed_share = float((sizes.sum() - not_removed.sum()) / sizes.sum())
        fractions = dict(zip(entries, (not_removed / sizes).tolist(), strict=True))
        return WeightStatistics(fractions, removed_share, kept, removed)

    return statistics


def _sums(entry: masking.PrunableWeight) -> tf.Tensor:
    """Returns [number not removed, number in the ticket, sum of |w| inside and outside the ticket], float64."""
    chosen = entry.ticket.value() != 0
    magnitudes = tf.cast(tf.abs(entry.weight.value()), tf.float64)
    zeros = tf.zeros_like(magnitudes)
    counts = [tf.math.count_nonzero(entry.mask.value()), tf.math.count_nonzero(chosen)]
    sums = [tf.reduce_sum(tf.where(which, magnitudes, zeros)) for which in (chosen, ~chosen)]
    return tf.stack([*(tf.cast(count, tf.float64) for count in counts), *sums])


def all_finite(variables: Iterable[Any]) -> Callable[[], bool]:
    """Returns a function that tells whether the present values of variables are all finite."""
    floating = [variable for variable in variables if variable.dtype.is_floating]

    @tf.function(autograph=False)
    def check() -> tf.Tensor:
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in floating])

    return lambda: bool(check())
