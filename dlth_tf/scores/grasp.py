"""GraSP: keeps the gradient flow.

Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, ICLR 2020, arXiv:2002.07376, equation
8.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dlth_tf.plain_numbers import ABOVE_0, real_number
from dlth_tf.scores.adapters import of

TEMPERATURE = 200.0  # of the official code


def grasp(
    model: Any,
    weights: Mapping[str, Any],
    batches: Sequence[tuple[Any, Any]],
    temperature: float = TEMPERATURE,
) -> dict[str, np.ndarray]:
    """Computes w * Hg, the negative of the published score S = -w * Hg, of which the largest are removed.

    g is the sum over the batches of the gradient of their mean loss with logits / T, and Hg the gradient of <stop(g),
    g>, batch by batch, by the backend's own second derivatives. Those of Keras 3 on TensorFlow are wrong where a layer
    normalizes, so there Hg is the central difference of two gradients in float64. Batch norm is in training mode, as in
    the official code, and its running statistics are restored. The official code re-initializes the last layer on a
    copy before scoring; here the weights are scored as they will be trained.

    Args:
      model: Model that returns logits, of tf_keras or Keras 3.
      weights: Variables to score, by tensor name.
      batches: Images [B, ...] and labels int64 [B], together a sample with equally many images of every class; or
        targets, floats [B, targets], whose loss is the mean squared error, without a temperature.
      temperature: T, by which logits are divided, above 0.

    Returns:
      Tensor name -> array of the tensor's shape and dtype; the highest are kept.
    """
    temperature = real_number("temperature", temperature, ABOVE_0)
    losses = of(model).Losses(model, weights.values(), training=True, temperature=temperature)
    direction = _sum(losses.gradients(*batch) for batch in batches)
    products = _sum(losses.products(*batch, direction) for batch in batches)
    losses.restore()
    return {name: weight.numpy() * along for (name, weight), along in zip(weights.items(), products, strict=True)}


def _sum(lists: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
    return functools.reduce(lambda one, other: [a + b for a, b in zip(one, other, strict=True)], lists)
