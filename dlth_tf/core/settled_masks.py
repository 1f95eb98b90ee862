"""Early-bird criterion: the distance between successive masks (You et al., ICLR 2020, arXiv:1909.11957)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import FRACTION, real_number, whole_number

WINDOW = 5  # masks that are compared, the newest with each of the others (published code, mask_cr.py)


def mask_distance(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """Fraction of entries in which two sets of masks differ (Hamming distance over all tensors together).

    Raises:
      BadInput: If the two sets do not have the same tensors and shapes.

    >>> mask_distance({"a": np.array([True, True, False, False])}, {"a": np.array([True, False, True, False])})
    0.5
    """
    if {name: np.shape(mask) for name, mask in one.items()} != {name: np.shape(mask) for name, mask in other.items()}:
        raise BadInput(
            "masks",
            ", ".join(one),
            f"must have the tensors and shapes of those they are compared with: {', '.join(other)}",
        )
    size = sum(np.size(mask) for mask in one.values())
    return sum(int(np.count_nonzero(one[name] != other[name])) for name in one) / max(size, 1)


def has_settled(masks: Sequence[Mapping[str, np.ndarray]], threshold: float = 0.1, window: int = WINDOW) -> bool:
    """Returns whether the newest mask is at most `threshold` away from each of the `window` - 1 before it.

    Args:
      masks: One set of masks per epoch, the newest last. The result is False until there are `window` of them.
      threshold: Largest distance allowed, 0 to 1; 0.1 as published.
      window: Number of masks that are compared, at least 2.
    """
    threshold = real_number("threshold", threshold, FRACTION)
    window = whole_number("window", window, least=2)
    *before, newest = masks[-window:] or [{}]
    return len(before) == window - 1 and all(mask_distance(newest, mask) <= threshold for mask in before)
