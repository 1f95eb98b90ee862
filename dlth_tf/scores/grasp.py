"""GraSP: keeps the gradient flow.

Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, ICLR 2020, arXiv:2002.07376, equation
8.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlth_tf.plain_numbers import ABOVE_0, real_number
from dlth_tf.scores.snip import first_replica, mean_loss

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

TEMPERATURE = 200.0  # of the official code


def grasp(
    model: tf_keras.Model,
    weights: Mapping[str, tf.Variable],
    batches: Sequence[tuple[tf.Tensor, tf.Tensor]],
    temperature: float = TEMPERATURE,
) -> dict[str, np.ndarray]:
    """Computes w * Hg, the negative of the published score S = -w * Hg, of which the largest are removed.

    g is the sum over the batches of the gradient of their mean loss with logits / T, and Hg the gradient of <stop(g),
    g>, batch by batch. Batch norm is in training mode, as in the official code, and its running statistics are
    restored. The official code re-initializes the last layer on a copy before scoring; here the weights are scored as
    they will be trained.

    Args:
      model: Model that returns logits.
      weights: Variables to score, by tensor name.
      batches: Images [B, ...] and labels int64 [B], together a sample with equally many images of every class; or
        targets, floats [B, targets], whose loss is the mean squared error, without a temperature.
      temperature: T, by which logits are divided, above 0.

    Returns:
      Tensor name -> array of the tensor's shape and dtype; the highest are kept.
    """
    import tensorflow as tf

    temperature = real_number("temperature", temperature, ABOVE_0)
    variables = first_replica(weights.values())

    def gradients(images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=True), variables[0].dtype)
            logits = logits / (1.0 if labels.dtype.is_floating else temperature)
            loss = mean_loss(labels, logits)
        return [
            tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables, unconnected_gradients="zero")
        ]

    @tf.function
    def product(images: tf.Tensor, labels: tf.Tensor, direction: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            current = gradients(images, labels)
            flow = tf.add_n(
                [tf.reduce_sum(along * gradient) for along, gradient in zip(direction, current, strict=True)]
            )
        return [
            tf.convert_to_tensor(gradient) for gradient in tape.gradient(flow, variables, unconnected_gradients="zero")
        ]

    before = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    first = tf.function(gradients)
    direction = _sum(first(*map(tf.convert_to_tensor, batch)) for batch in batches)
    products = _sum(product(*map(tf.convert_to_tensor, batch), direction) for batch in batches)
    for variable, value in before:
        variable.assign(value)
    return {
        name: weight.numpy() * along.numpy() for (name, weight), along in zip(weights.items(), products, strict=True)
    }


def _sum(lists: Iterable[list[tf.Tensor]]) -> list[tf.Tensor]:
    return functools.reduce(lambda one, other: [a + b for a, b in zip(one, other, strict=True)], lists)
