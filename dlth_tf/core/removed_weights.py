"""Removed weights that are not zero: the numbers that tell the possible causes apart."""

from __future__ import annotations

import numpy as np


def not_zero(weight: np.ndarray, kept: np.ndarray) -> str | None:
    """Describes the removed weights of a tensor that are not zero; None if all are zero.

    Args:
      weight: Values of the tensor.
      kept: Boolean mask of the same shape, True = not removed.

    >>> not_zero(np.array([0., .5, -.25, 3.]), np.array([False, False, False, True]))
    '2 of 3, the largest |w| is 0.5'
    >>> not_zero(np.array([0., np.nan, np.nan, 3.]), np.array([False, False, True, True]))
    '1 of 2, 1 NaN; of the 2 kept weights 1 is NaN'
    """
    removed = weight[~kept]
    wrong = removed[removed != 0]
    if not wrong.size:
        return None
    nan = int(np.isnan(wrong).sum())
    parts = [f"{wrong.size} of {removed.size}"]
    parts += [f"{nan} NaN"] if nan else []
    parts += [f"the largest |w| is {np.nanmax(np.abs(wrong)):.3g}"] if nan < wrong.size else []
    return ", ".join(parts) + (_of_the_kept(weight[kept]) if nan else "")


def _of_the_kept(kept: np.ndarray) -> str:
    nan = int(np.isnan(kept).sum())
    return f"; of the {kept.size} kept weights {nan or 'none'} {'are' if nan > 1 else 'is'} NaN"
