"""Ratios: how the sparsity grows over the cycles of an iterative method, up to exactly the one that was asked for."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

from dlth_tf.core.exact_counts import Sparsity, parse_sparsity
from dlth_tf.errors import BadInput

DIGITS = 40  # of an irrational ratio; far more than any count of weights can resolve


def cumulative_sparsity(sparsity: Sparsity, cycle: int, cycles: int) -> Fraction:
    """Sparsity after cycle c of n: 1 - (1 - p)^(c/n), so that every cycle removes the same share of what it finds.

    RST-Iter, L1-Iter and LTH in DLTH (Bai et al., ICLR 2022), and the keep fraction rho^(k/N) of SynFlow's rounds (Tanaka
    et al., NeurIPS 2020) with rho = 1 - p. Made for `removed_count`: a ratio that is rational is exact, so the last cycle
    is exactly p and half of 512 is 256 however many cycles led there; others hold 40 digits and more.

    Args:
      sparsity: p, at the end.
      cycle: c, 0 (before the first) to n.
      cycles: n, at least 1.

    >>> [round(float(cumulative_sparsity(.9, cycle, 5)), 4) for cycle in range(1, 6)]
    [0.369, 0.6019, 0.7488, 0.8415, 0.9]
    >>> cumulative_sparsity(.657, 1, 3), 1 - (1 - .657) ** (1 / 3)  # floats would remove 4 of 10
    (Fraction(3, 10), 0.30000000000000004)
    """
    if cycles < 1:
        raise BadInput("cycles", cycles, "must be at least 1")
    if not 0 <= cycle <= cycles:
        raise BadInput("cycle", cycle, f"must be between 0 and {cycles}")
    density = 1 - parse_sparsity(sparsity)
    power = density**cycle
    with localcontext(prec=DIGITS + 2 * len(str(density.denominator))):
        root = Fraction((Decimal(power.numerator) / power.denominator) ** (Decimal(1) / cycles))
    rational = root.limit_denominator(density.denominator)  # no rational root has a larger denominator
    return 1 - (rational if rational**cycles == power else root)


def kept_by_level(size: int, levels: int, share: Sparsity = "0.2") -> tuple[int, ...]:
    """Weights kept after level 0, 1, ... of iterative magnitude pruning: each level removes ceil(share * what is left).

    open_lth, pruning/sparse_global.py; `Fraction(size - kept, size)` is the sparsity that gives this count to `choose_masks`.

    >>> kept_by_level(1000, 3)
    (1000, 800, 640, 512)
    """
    kept = [size]
    for _ in range(levels):
        kept.append(max(kept[-1] - math.ceil(parse_sparsity(share) * kept[-1]), 1))
    return tuple(kept)


def levels_to(sparsity: Sparsity, share: Sparsity = "0.2") -> int:
    """The fewest levels of `share` each that reach the sparsity: the least L with (1 - share)^L <= 1 - p.

    >>> levels_to(.9), levels_to(.2), levels_to(0)
    (11, 1, 0)
    """
    if not parse_sparsity(share):
        raise BadInput("share", share, "must be above 0, or no level removes anything")
    wanted, left, levels = 1 - parse_sparsity(sparsity), Fraction(1), 0
    while left > wanted:
        left *= 1 - parse_sparsity(share)
        levels += 1
    return levels


def gradual(step: int, begin: int, end: int, final: float, initial: float = 0.0) -> float:
    """Sparsity of gradual pruning at a step: s_f + (s_i - s_f) (1 - (t - t0) / (t1 - t0))^3 (Zhu and Gupta, 2017).

    The formula of tf-mot's PolynomialDecay, which does the pruning itself; this one is for costs and plots.

    >>> [gradual(step, 10, 20, .96) for step in (0, 10, 15, 20, 99)]
    [0.0, 0.0, 0.84, 0.96, 0.96]
    """
    left = 1 - min(max(step - begin, 0), end - begin) / (end - begin)
    return final + (initial - final) * left**3
