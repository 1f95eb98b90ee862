"""SNIP: connection sensitivity at initialization (Lee et al., SNIP, ICLR 2019, arXiv:1810.02340, equation 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras


def snip(
    model: tf_keras.Model, weights: Mapping[str, tf.Variable], images: tf.Tensor, labels: tf.Tensor
) -> dict[str, np.ndarray]:
    """Computes |dL/dm| at m = 1, which is |w * dL/dw|, on one batch, with batch norm in inference mode.

    The published scores are divided by their sum, which changes no order and is left out.

    Args:
      model: Model that returns logits.
      weights: Variables to score, by tensor name.
      images: Batch [B, ...] as the model takes it.
      labels: Class numbers, int64 [B]; or targets, floats [B, targets], whose loss is the mean squared error.

    Returns:
      Tensor name -> array of the tensor's shape and dtype; the highest are kept.
    """
    import tensorflow as tf

    variables = first_replica(weights.values())

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=False), variables[0].dtype)
            loss = mean_loss(labels, logits)
        return [
            tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables, unconnected_gradients="zero")
        ]

    return {
        name: np.abs(weight.numpy() * gradient.numpy())
        for (name, weight), gradient in zip(weights.items(), gradients(), strict=True)
    }


def mean_loss(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-entropy by class numbers, or the mean squared error by floating-point targets."""
    import tensorflow as tf

    labels = tf.convert_to_tensor(labels)
    if labels.dtype.is_floating:
        return tf.reduce_mean(tf.math.squared_difference(tf.cast(labels, outputs.dtype), outputs))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))


def first_replica(weights: Iterable[tf.Variable]) -> list[tf.Variable]:
    """Returns the variables, or under a strategy of several replicas those of the first, which have gradients."""
    import tensorflow as tf

    return [tf.distribute.get_strategy().experimental_local_results(weight)[0] for weight in weights]
