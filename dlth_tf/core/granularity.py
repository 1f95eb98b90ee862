"""Granularity: what is removed as one piece."""

from __future__ import annotations

import re

from dlth_tf.core.n_m import NByM
from dlth_tf.core.tiles import Tiles, Weights
from dlth_tf.core.top_k import top_k_mask
from dlth_tf.errors import BadInput

__all__ = ["GRANULARITIES", "Granularity", "parse_granularity", "top_k_mask"]

Granularity = Weights | Tiles | NByM
GRANULARITIES: dict[str, Granularity] = {
    "weight": Weights(),
    "filter": Tiles("filter", all_positions=True, inputs=None, outputs=1),
    "channel": Tiles("channel", all_positions=True, inputs=1, outputs=None),
}


def parse_granularity(given: str | Granularity) -> Granularity:
    """The granularity that a flag or an argument means.

    - weight: every weight by itself.
    - filter: all weights of an output (of a depthwise kernel: of one channel's filter).
    - channel: all weights of an input.
    - block:RxC: R consecutive inputs by C consecutive outputs, at one position of a convolution kernel.
    - n:m: n of every m consecutive inputs of an output, at one position of a convolution kernel.

    Raises:
      BadInput: none of these.

    >>> parse_granularity("block:4x1").divide((3, 3, 8, 16)).count, parse_granularity("2:4").sparsity
    (288, Fraction(1, 2))
    """
    if isinstance(given, Granularity):
        return given
    if given in GRANULARITIES:
        return GRANULARITIES[given]
    if block := re.fullmatch(r"block:([1-9]\d{0,5})x([1-9]\d{0,5})", str(given)):
        return Tiles(str(given), all_positions=False, inputs=int(block[1]), outputs=int(block[2]))
    if (run := re.fullmatch(r"([1-9]\d{0,2}):([1-9]\d{0,2})", str(given))) and int(run[1]) < int(run[2]):
        return NByM(int(run[1]), int(run[2]))
    raise BadInput(
        "granularity",
        given,
        f"must be one of {', '.join(GRANULARITIES)}, a block such as block:4x1, or n:m such as 2:4",
    )
