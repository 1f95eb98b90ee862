"""Loss and accuracy of a network in its current state, over every validation and test example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras


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


class Evaluator:
    """Evaluates a model in one traced function, without Python code per batch and without touching the compiled state.

    Args:
      model: A model that returns logits.
      sets: Name ("val", "test") -> batches of (images, labels) with known cardinality.
    """

    def __init__(self, model: tf_keras.Model, sets: Mapping[str, tf.data.Dataset]) -> None:
        self.model = model
        # Infinite iterators, kept open: opening one takes longer than evaluating a small set.
        self._sets = {name: (iter(batches.repeat()), batches.cardinality()) for name, batches in sets.items()}
        self._measure = tf.function(self._totals)

    def _totals(self, batches: Iterator[Any], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        loss = tf.constant(0.0, tf.float64)
        correct = tf.constant(0, tf.int64)
        count = tf.constant(0, tf.int64)
        for _ in tf.range(number):
            images, labels = next(batches)
            logits = self.model(images, training=False)
            loss += tf.reduce_sum(tf.cast(cross_entropy(labels, logits), tf.float64))
            correct += tf.math.count_nonzero(tf.argmax(logits, -1) == labels)
            count += tf.size(labels, tf.int64)
        return loss, correct, count

    def __call__(self) -> dict[str, float]:
        """Returns `val_loss`, `val_accuracy`, `test_loss` and `test_accuracy`; accuracies are 0 to 1."""
        metrics = {}
        for name, (batches, number) in self._sets.items():
            loss, correct, count = (value.numpy() for value in self._measure(batches, number))
            metrics[f"{name}_loss"] = float(loss / count)
            metrics[f"{name}_accuracy"] = float(correct / count)
        return metrics
