"""Exact top-k masks."""

from __future__ import annotations

import numpy as np

from dlth_tf.plain_numbers import whole_number


def top_k_mask(scores: np.ndarray, kept: int, free: np.ndarray | None = None) -> np.ndarray:
    """Keeps exactly the `kept` highest scores.

    Ties are broken by position: the entry with the smaller flat (C order) index is removed first, so the count is exact
    whatever the scores are.

    Args:
      scores: Array of any shape and real dtype, without NaN.
      kept: Number of entries to keep, 0 to the number of entries that are free.
      free: Boolean array of the shape of `scores`: True where an entry may be kept; all if None.

    Returns:
      Boolean mask of the shape of `scores`, True = kept.

    Raises:
      BadInput: If `kept` is out of range.

    >>> top_k_mask(np.array([.3, .1, .3, .2]), 2).tolist()
    [True, False, True, False]
    >>> top_k_mask(np.array([.3, .1, .3, .2]), 2, free=np.array([True, True, False, True])).tolist()
    [True, False, False, True]
    """
    if free is not None:
        mask = np.zeros(scores.shape, bool)
        mask[free] = top_k_mask(scores[free], kept)
        return mask
    kept = whole_number("kept", kept, least=0, most=scores.size)
    flat = scores.ravel()
    if kept == 0:
        return np.zeros(scores.shape, bool)
    lowest = flat.size - kept
    threshold = np.partition(flat, lowest)[lowest]  # takes a fraction of the time and memory of a stable sort
    mask = flat > threshold
    ties = np.flatnonzero(flat == threshold)
    mask[ties[ties.size - (kept - np.count_nonzero(mask)) :]] = True
    return mask.reshape(scores.shape)
