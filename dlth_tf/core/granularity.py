"""Granularity: how scores become masks."""

from __future__ import annotations

import numpy as np


def keep_highest(scores: np.ndarray, kept: int) -> np.ndarray:
    """Keeps exactly `kept` single weights: those with the highest scores.

    Equal scores are decided by position: the weight with the smaller flat (C order) index is removed first, so the
    count is exact whatever the scores are.

    Args:
      scores: any shape, any real dtype, no NaN.
      kept: how many to keep, 0 to scores.size.

    Returns:
      A boolean mask of the shape of `scores`, True where the weight is kept.

    >>> keep_highest(np.array([.3, .1, .3, .2]), 2).tolist()
    [True, False, True, False]
    """
    if not 0 <= kept <= scores.size:
        raise ValueError(f"kept={kept}: must be between 0 and {scores.size}")
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(scores, axis=None, kind="stable")[scores.size - kept :]] = True
    return mask.reshape(scores.shape)
