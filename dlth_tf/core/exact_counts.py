"""Exact weight counts for a given sparsity."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import scalar, whole_number

Sparsity = float | str | Fraction

# Without it Fraction would expand 1e-999999999 digit by digit.
_NUMBER = re.compile(r"\s*[-+]?[\d./]{1,40}(e[-+]?\d{1,3})?\s*", re.IGNORECASE)


def parse_sparsity(sparsity: Sparsity) -> Fraction:
    """Returns the sparsity as the decimal that was typed: .1 is one tenth, not the nearest float.

    Raises:
      BadInput: If it is not a number, or not in [0, 1).
    """
    text = str(scalar(sparsity))
    try:
        value = sparsity if isinstance(sparsity, Fraction) else Fraction(text if _NUMBER.fullmatch(text) else "")
    except (ValueError, ZeroDivisionError):
        raise BadInput("sparsity", sparsity, "must be a number, at least 0 and below 1") from None
    if not 0 <= value < 1:
        raise BadInput(
            "sparsity", sparsity, "must be at least 0 and below 1 (the fraction of the weights that is removed)"
        )
    return value


def removed_count(size: int, sparsity: Sparsity) -> int:
    """Number of weights, or groups of weights, that are removed of n = `size`: min(ceil(p * n), n - 1).

    The product is exact. At least one is kept, as in the official code (Bai et al., ICLR 2022), whose float product is
    off by one in places.

    >>> removed_count(512, .5), removed_count(10, .98), removed_count(30, .1), removed_count(7, 0)
    (256, 9, 3, 0)
    """
    size = whole_number("size", size, least=0)
    return max(0, min(math.ceil(parse_sparsity(sparsity) * size), size - 1))
