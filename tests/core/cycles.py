"""Masks of successive cycles, for tests of nesting."""

from __future__ import annotations

import itertools

import numpy as np


def in_cycles(choose, cycles: int) -> list[dict[str, np.ndarray]]:
    """Returns the masks of every cycle; `choose` is called with (c, n) and the masks of the cycle before."""
    masks: list[dict[str, np.ndarray]] = []
    for cycle in range(1, cycles + 1):
        masks.append(choose((cycle, cycles), masks[-1] if masks else None))
    return masks


def nested(masks: list[dict[str, np.ndarray]]) -> bool:
    """Returns whether no mask keeps anything that an earlier one removed."""
    return all(
        not (later[name] & ~earlier[name]).any() for earlier, later in itertools.pairwise(masks) for name in earlier
    )
