"""Regrowth: dynamic sparse training drops the smallest weights and grows as many others (SET, RigL).

Mocanu et al., Nature Communications 2018 (SET); Evci et al., ICML 2020, arXiv:1911.11134 (RigL), rigl_tf2/mask_updaters.py.
"""

from __future__ import annotations

import math

import numpy as np

from dlth_tf.core.top_k import top_k_mask
from dlth_tf.errors import BadInput


def drop_fraction(step: int, end: int, alpha: float = 0.3) -> float:
    """The share of the kept weights that is exchanged: f(t) = alpha / 2 * (1 + cos(pi t / T_end)), and 0 from T_end on.

    >>> [round(drop_fraction(step, 100), 3) for step in (0, 50, 99, 100, 500)]
    [0.3, 0.15, 0.0, 0.0, 0.0]
    """
    return alpha / 2 * (1 + math.cos(math.pi * step / end)) if step < end else 0.0


def drop_and_grow(weights: np.ndarray, mask: np.ndarray, grow_scores: np.ndarray, count: int) -> np.ndarray:
    """Exchanges `count` kept places of one tensor for others; how many are kept does not change.

    First the `count` smallest |w| of the kept are dropped, then the `count` highest grow scores of everything that is not
    kept grow; that includes the just dropped, which then return with the value they have. Equal ones go as in `top_k_mask`.
    Works for groups as well, on pooled arrays.

    Args:
      weights: of the tensor, any shape.
      mask: boolean, of that shape, True = kept.
      grow_scores: of that shape: |dense gradient| for RigL, uniformly random numbers for SET.
      count: int(drop_fraction * kept), 0 to the number of kept places.

    Returns:
      The new mask; `new & ~mask` is what grew and starts at zero, with zero optimizer slots.

    Raises:
      BadInput: more are to be exchanged than are kept.

    >>> mask = np.array([True, True, True, False, False])
    >>> drop_and_grow(np.array([.1, -3, 2, 0, 0]), mask, np.array([.5, 0, 0, .2, .9]), 1).tolist()
    [False, True, True, False, True]
    """
    kept = int(np.count_nonzero(mask))
    if not 0 <= count <= kept:
        raise BadInput("count", count, f"must be between 0 and {kept}, the number of kept places")
    stays = top_k_mask(np.abs(weights), kept - count, free=mask)
    return stays | top_k_mask(grow_scores, count, free=~stays)
