"""Drop and grow in NumPy, for comparison with the graph."""

from __future__ import annotations

import numpy as np

from dlth_tf.core import top_k_mask
from dlth_tf.errors import BadInput


def drop_and_grow(weights: np.ndarray, mask: np.ndarray, grow_scores: np.ndarray, count: int) -> np.ndarray:
    """Exchanges `count` kept entries of one tensor for others, with NumPy: the oracle of `masking.mask_arithmetic`.

    First the `count` smallest |w| of the kept are dropped, then the `count` highest grow scores of all entries that are
    not kept grow; the just dropped may return with the value that they have. Ties are broken as in `top_k_mask`.

    Args:
      weights: Tensor of any shape, or pooled groups.
      mask: Boolean array of that shape, True = kept.
      grow_scores: Array of that shape: |dense gradient| for RigL, uniformly random numbers for SET.
      count: Number of entries that are exchanged, 0 to the number of kept ones.

    Returns:
      The new mask; `new & ~mask` is what grew.

    Raises:
      BadInput: If more entries are to be exchanged than are kept.
    """
    kept = int(np.count_nonzero(mask))
    if not 0 <= count <= kept:
        raise BadInput("count", count, f"must be between 0 and {kept}, the number of kept entries")
    stays = top_k_mask(np.abs(weights), kept - count, free=mask)
    return stays | top_k_mask(grow_scores, count, free=~stays)
