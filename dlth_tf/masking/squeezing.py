"""Warning of a transformation that ends before its penalty has squeezed the weights that are removed then."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from dlth_tf.masking.world import prunable_weights

SQUEEZED = 0.1  # of the mean magnitude of what stays; transformations of the published shape end below .01

log = logging.getLogger("dlth_tf")


def squeezed_to(model: Any) -> tuple[float, float]:
    """Returns the mean magnitude of the weights that a ticket will remove, and that of those it keeps.

    Args:
      model: A wrapped model with a ticket; only tensors of which it removes something count, and in these only weights
        that are not removed yet. Both numbers are 0 if no tensor does.
    """
    sums, counts = np.zeros(2), np.zeros(2)
    for entry in prunable_weights(model).values():
        chosen, kept = entry.chosen(), entry.kept()
        if chosen.all():
            continue
        magnitudes = np.abs(entry.weight.numpy().astype(np.float64))
        for place, which in enumerate((kept & ~chosen, kept & chosen)):
            sums[place] += magnitudes[which].sum()
            counts[place] += which.sum()
    outside, inside = sums / np.maximum(counts, 1)
    return float(outside), float(inside)


def warn_unless_squeezed(model: Any) -> None:
    """Logs a warning if a transformation ends with weights to remove that are not small beside those that stay."""
    outside, inside = squeezed_to(model)
    if outside > SQUEEZED * inside:
        share = f"{outside / inside:.0%} of" if inside else "beside"
        log.warning(
            "the transformation ended before the penalty had squeezed the weights that are removed now: their mean "
            "magnitude is %.3g, %s the %.3g of those that stay; more steps or a larger learning rate squeeze them "
            "further",
            outside,
            share,
            inside,
        )
