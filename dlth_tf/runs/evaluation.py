"""Loss and accuracy of the network as it is, on every example of the validation and the test set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy per example, in float32 at least whatever the precision of the network.

    Args:
      labels: class numbers [B], or their probabilities [B, classes] (mixed images).
      logits: [B, classes].
    """
    logits = tf.cast(logits, tf.float64 if logits.dtype == tf.float64 else tf.float32)
    if labels.dtype.is_floating:
        return tf_keras.losses.categorical_crossentropy(tf.cast(labels, logits.dtype), logits, from_logits=True)
    return tf_keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


class Evaluator:
    """Measures a model in one traced function: no Python per batch, nothing of its compile state is touched.

    Args:
      model: gives logits.
      sets: name ("val", "test") -> batches of (images, labels), of known number.
    """

    def __init__(self, model: tf_keras.Model, sets: Mapping[str, tf.data.Dataset]) -> None:
        self.model = model
        # Endless iterators that are kept: opening one takes longer than evaluating a small set.
        self._sets = {name: (iter(batches.repeat()), batches.cardinality()) for name, batches in sets.items()}
        self._measure = tf.function(self._totals)

    def _totals(self, batches: Iterator[Any], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        loss, right, count = tf.constant(0.0, tf.float64), tf.constant(0, tf.int64), tf.constant(0, tf.int64)
        for _ in tf.range(number):
            images, labels = next(batches)
            logits = self.model(images, training=False)
            loss += tf.reduce_sum(tf.cast(cross_entropy(labels, logits), tf.float64))
            right += tf.math.count_nonzero(tf.argmax(logits, -1) == labels)
            count += tf.size(labels, tf.int64)
        return loss, right, count

    def __call__(self) -> dict[str, float]:
        """{"val_loss": ..., "val_accuracy": ..., "test_loss": ..., "test_accuracy": ...}; accuracies are fractions."""
        found = {}
        for name, (batches, number) in self._sets.items():
            loss, right, count = (value.numpy() for value in self._measure(batches, number))
            found[f"{name}_loss"], found[f"{name}_accuracy"] = float(loss / count), float(right / count)
        return found
