"""Loss and measure of a network in its current state, over every validation and test example."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.measures import ACCURACY, CLASSIFICATION, MSE, REGRESSION, Measure

MOST_KEPT = 1 << 24  # bytes of all sets together up to which they are kept: fetching them takes longer than evaluating


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Computes the cross-entropy of each example, in float32 at least whatever the precision of the network.

    Args:
      labels: Class indices, integers [B], or class probabilities, floats [B, classes] (for mixed images).
      logits: Floats [B, classes].

    Returns:
      Losses [B]: float64 if the logits are, otherwise float32.
    """
    logits = tf.cast(logits, tf.float64 if logits.dtype == tf.float64 else tf.float32)
    if labels.dtype.is_floating:
        return tf_keras.losses.categorical_crossentropy(tf.cast(labels, logits.dtype), logits, from_logits=True)
    return tf_keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def squared_error(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Computes the squared error of each example, the mean over its targets, in float32 at least.

    Args:
      targets: Floats [B, targets].
      outputs: Floats [B, targets].

    Returns:
      Errors [B]: float64 if the outputs are, otherwise float32.
    """
    outputs = tf.cast(outputs, tf.float64 if outputs.dtype == tf.float64 else tf.float32)
    return tf.reduce_mean(tf.math.squared_difference(outputs, tf.cast(targets, outputs.dtype)), -1)


LOSSES = {CLASSIFICATION: cross_entropy, REGRESSION: squared_error}


class Evaluator:
    """Evaluates a model in one traced function, without Python code per batch and without touching the compiled state.

    Small sets are kept in memory after the first evaluation, and all of them are evaluated in one call.

    Args:
      model: A model that returns logits, or predictions of targets.
      sets: Name ("val", "test") -> batches of (images, labels) with known cardinality.
      measure: What is measured: accuracy by class numbers, or the mean squared error by targets.
    """

    def __init__(self, model: tf_keras.Model, sets: Mapping[str, tf.data.Dataset], measure: Measure = ACCURACY) -> None:
        self.model = model
        self.measure = measure
        self._sets = dict(sets)
        self._all_totals: Callable[[], dict[str, np.ndarray]] | None = None

    def _batch_totals(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns [sum of the losses, number of correct predictions, number of examples] of a batch, float64.

        In regression, the loss of an example is its squared error, which stands in the second place too.
        """
        logits = self.model(images, training=False)
        if self.measure is MSE:
            error = tf.reduce_sum(tf.cast(squared_error(labels, logits), tf.float64))
            return tf.stack([error, error, tf.cast(tf.shape(labels)[0], tf.float64)])
        loss = tf.reduce_sum(tf.cast(cross_entropy(labels, logits), tf.float64))
        correct = tf.math.count_nonzero(tf.argmax(logits, -1) == labels)
        return tf.stack([loss, tf.cast(correct, tf.float64), tf.cast(tf.size(labels), tf.float64)])

    def _in_memory(self, kept: Mapping[str, Sequence[tuple[tf.Tensor, tf.Tensor]]]) -> Callable[[], Any]:
        """Returns the function that evaluates batches in memory: all sets in one loop, each batch as it was."""
        names = [name for name, batches in kept.items() for _ in batches]
        images, labels = (tf.concat(parts, 0) for parts in zip(*itertools.chain(*kept.values()), strict=True))
        ends = np.cumsum([len(batch[1]) for batch in itertools.chain(*kept.values())])
        bounds = tf.constant(np.stack([np.r_[0, ends[:-1]], ends], 1))

        @tf.function
        def totals(images: tf.Tensor, labels: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
            def of_batch(bound: tf.Tensor) -> tf.Tensor:
                return self._batch_totals(images[bound[0] : bound[1]], labels[bound[0] : bound[1]])

            return tf.map_fn(of_batch, bounds, fn_output_signature=tf.float64, parallel_iterations=1)

        def all_totals() -> dict[str, np.ndarray]:
            sums = {name: np.zeros(3) for name in kept}
            for name, values in zip(names, totals(images, labels, bounds).numpy(), strict=True):
                sums[name] += values
            return sums

        return all_totals

    def _streamed(self) -> Callable[[], Any]:
        """Returns the function that fetches and evaluates one set after the other."""
        # Infinite iterators, kept open: opening one takes longer than evaluating a small set.
        open_sets = {name: (iter(batches.repeat()), batches.cardinality()) for name, batches in self._sets.items()}

        @tf.function
        def totals(batches: Iterator[Any], number: tf.Tensor) -> tf.Tensor:
            sums = tf.zeros(3, tf.float64)
            for _ in tf.range(number):
                sums += self._batch_totals(*next(batches))
            return sums

        return lambda: {name: totals(*opened).numpy() for name, opened in open_sets.items()}

    def __call__(self) -> dict[str, float]:
        """Returns `val_loss`, `val_accuracy`, `test_loss` and `test_accuracy` (0 to 1), or `val_mse` and `test_mse`."""
        if self._all_totals is None:
            kept = _kept(self._sets)
            self._all_totals = self._streamed() if kept is None else self._in_memory(kept)
        metrics = {}
        for name, (loss, score, count) in self._all_totals().items():
            metrics[f"{name}_loss"] = float(loss / count)
            metrics[f"{name}_{self.measure.name}"] = float(score / count)
        return metrics


def _kept(sets: Mapping[str, tf.data.Dataset]) -> dict[str, list[tuple[tf.Tensor, tf.Tensor]]] | None:
    """Returns all batches of all sets, or None as soon as they are more than is kept in memory."""
    kept: dict[str, list[tuple[tf.Tensor, tf.Tensor]]] = {name: [] for name in sets}
    size = 0
    for name, batches in sets.items():
        for images, labels in batches:
            size += len(labels) * int(np.prod(images.shape[1:])) * images.dtype.size
            if size > MOST_KEPT:
                return None
            kept[name].append((images, labels))
    return kept
