"""Whether a sparsity, an allocation and a granularity go together: all but n:m, which has a sparsity of its own, always do."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from dlth_tf.core.allocation import Allocation, PatternMap, parse_allocation, uniform
from dlth_tf.core.exact_counts import Sparsity, parse_sparsity
from dlth_tf.core.granularity import Granularity, parse_granularity
from dlth_tf.core.n_m import NByM
from dlth_tf.errors import BadInput

CLOSE = Fraction(1, 10_000)  # .6667 is meant where 1:3 removes two thirds


def check_choice(
    sparsity: Sparsity,
    allocation: str | Mapping[str, Sparsity] | Allocation = "uniform",
    granularity: str | Granularity = "weight",
) -> tuple[Fraction, Allocation, Granularity]:
    """Parses the three and sees that they go together; needs no shapes.

    Raises:
      BadInput: one of them is not usable, or n:m stands beside a sparsity or an allocation that is not its own.

    >>> check_choice(.9, "uniform", "2:4")
    Traceback (most recent call last):
    dlth_tf.errors.BadInput: sparsity=0.9: does not go with granularity 2:4, which removes 0.5 of every tensor by itself: say 0.5
    """
    wanted, rule, grain = parse_sparsity(sparsity), parse_allocation(allocation), parse_granularity(granularity)
    if not isinstance(grain, NByM):
        return wanted, rule, grain
    if isinstance(rule, PatternMap):
        return (
            wanted,
            PatternMap(tuple((pattern, _own(grain, pattern, value)) for pattern, value in rule.sparsities)),
            grain,
        )
    if rule is not uniform:
        raise BadInput(
            "allocation",
            allocation,
            f"does not go with granularity {grain.text}, which is the same everywhere: say uniform",
        )
    if abs(wanted - grain.sparsity) > CLOSE:
        own = f"{float(grain.sparsity):.4g}"
        raise BadInput(
            "sparsity",
            sparsity,
            f"does not go with granularity {grain.text}, which removes {own} of every tensor by itself: say {own}",
        )
    return grain.sparsity, rule, grain


def _own(grain: NByM, pattern: str, sparsity: Fraction) -> Fraction:
    """What n:m makes of one entry of a pattern map: its own sparsity, or nothing removed."""
    if sparsity and abs(sparsity - grain.sparsity) > CLOSE:
        allowed = f"does not go with granularity {grain.text}: say 0 or {float(grain.sparsity):.4g}"
        raise BadInput("allocation", f"{pattern}: {float(sparsity)}", allowed)
    return grain.sparsity if sparsity else sparsity
