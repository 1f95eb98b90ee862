"""Allocation: one sparsity for the network -> an exact number of kept weights for each tensor."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from dlth_tf.errors import BadInput

# Fraction would read 1e-999999999 too, digit by digit.
_NUMBER = re.compile(r"\s*[-+]?[\d./]{1,40}(e[-+]?\d{1,3})?\s*", re.IGNORECASE)


def exact(sparsity: float | str | Fraction) -> Fraction:
    """The sparsity as the decimal that was typed: .1 is one tenth, not the float nearest to it.

    Raises:
      BadInput: not a number, negative, or 1 and more.
    """
    text = str(sparsity)
    try:
        value = sparsity if isinstance(sparsity, Fraction) else Fraction(text if _NUMBER.fullmatch(text) else "")
    except (ValueError, ZeroDivisionError):
        raise BadInput("sparsity", sparsity, "must be a number, at least 0 and below 1") from None
    if not 0 <= value < 1:
        raise BadInput("sparsity", sparsity, "must be at least 0 and below 1 (it is the fraction of the weights that is removed)")
    return value


def removed_count(size: int, sparsity: float | str | Fraction) -> int:
    """How many of `size` weights are removed: min(ceil(p * n), n - 1), with p * n in exact arithmetic.

    At least one weight stays, as in the official code (Bai et al., ICLR 2022), whose float product drifts by one in places.

    >>> removed_count(512, .5), removed_count(10, .98), removed_count(30, .1), removed_count(7, 0)
    (256, 9, 3, 0)
    """
    return max(0, min(math.ceil(exact(sparsity) * size), size - 1))


def uniform(shapes: Mapping[str, tuple[int, ...]], sparsity: float | str | Fraction) -> dict[str, int]:
    """The same sparsity in every tensor, as DLTH does it.

    Args:
      shapes: name -> shape of every tensor that is pruned.
      sparsity: fraction removed, in [0, 1).

    Returns:
      name -> the number of weights that are kept, at least 1.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    return {name: size - removed_count(size, sparsity) for name, size in sizes.items()}


Allocation = Callable[[Mapping[str, tuple[int, ...]], "float | str | Fraction"], dict[str, int]]
ALLOCATIONS: dict[str, Allocation] = {"uniform": uniform}
