"""Granularity: the groups of weights that are kept or removed as one piece."""

from __future__ import annotations

import re

from dlth_tf.core.n_m import NByM
from dlth_tf.core.tiles import Tiles, Weights
from dlth_tf.errors import BadInput

Granularity = Weights | Tiles | NByM
GRANULARITIES: dict[str, Granularity] = {
    "weight": Weights(),
    "filter": Tiles("filter", all_positions=True, inputs=None, outputs=1),
    "channel": Tiles("channel", all_positions=True, inputs=1, outputs=None),
}


def parse_granularity(granularity: str | Granularity) -> Granularity:
    """Returns the granularity that a flag or an argument names.

    - weight: single weights.
    - filter: all weights of an output (in a depthwise kernel: of one channel's filter).
    - channel: all weights of an input.
    - block:RxC: R consecutive inputs by C consecutive outputs, at one position of a convolution kernel.
    - n:m: n of every m consecutive inputs of an output, at one position of a convolution kernel.

    Raises:
      BadInput: If it is none of these.

    >>> parse_granularity("block:4x1").divide((3, 3, 8, 16)).count, parse_granularity("2:4").sparsity
    (288, Fraction(1, 2))
    """
    if isinstance(granularity, Granularity):
        return granularity
    if granularity in GRANULARITIES:
        return GRANULARITIES[granularity]
    if block := re.fullmatch(r"block:([1-9]\d{0,5})x([1-9]\d{0,5})", str(granularity)):
        return Tiles(str(granularity), all_positions=False, inputs=int(block[1]), outputs=int(block[2]))
    if (run := re.fullmatch(r"([1-9]\d{0,2}):([1-9]\d{0,2})", str(granularity))) and int(run[1]) < int(run[2]):
        return NByM(int(run[1]), int(run[2]))
    raise BadInput(
        "granularity",
        granularity,
        f"must be one of {', '.join(GRANULARITIES)}, a block such as block:4x1, or n:m such as 2:4",
    )
