"""Magnitude: |w| (Han et al., NeurIPS 2015), the criterion of lottery tickets (Frankle and Carbin, ICLR 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def magnitude(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes |w| of every weight.

    Args:
      weights: Tensor name -> value.

    Returns:
      Tensor name -> array of the tensor's shape and dtype.
    """
    return {name: np.abs(value) for name, value in weights.items()}
