"""SNIP: connection sensitivity at initialization (Lee et al., SNIP, ICLR 2019, arXiv:1810.02340, equation 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlth_tf.scores.adapters import of


def snip(model: Any, weights: Mapping[str, Any], images: Any, labels: Any) -> dict[str, np.ndarray]:
    """Computes |dL/dm| at m = 1, which is |w * dL/dw|, on one batch, with batch norm in inference mode.

    The published scores are divided by their sum, which changes no order and is left out.

    Args:
      model: Model that returns logits, of tf_keras or Keras 3.
      weights: Variables to score, by tensor name.
      images: Batch [B, ...] as the model takes it.
      labels: Class numbers, int64 [B]; or targets, floats [B, targets], whose loss is the mean squared error.

    Returns:
      Tensor name -> array of the tensor's shape and dtype; the highest are kept.
    """
    gradients = of(model).Losses(model, weights.values(), training=False).gradients(images, labels)
    return {
        name: np.abs(weight.numpy() * gradient)
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
