"""Sparsity over the rounds of an iterative method, up to exactly the final one."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

from dlth_tf.core.exact_counts import Sparsity, parse_sparsity
from dlth_tf.plain_numbers import whole_number

DIGITS = 40  # of an irrational ratio; far more than any count of weights can resolve


def cumulative_sparsity(sparsity: Sparsity, cycle: int, cycles: int) -> Fraction:
    """Sparsity after round c of n: 1 - (1 - p)^(c/n).

    Every round removes the same fraction of the remaining weights. Used by RST-Iter, L1-Iter and LTH in DLTH (Bai et
    al., ICLR 2022), and the keep fraction rho^(k/N) of SynFlow's rounds (Tanaka et al., NeurIPS 2020) with rho = 1 - p.
    Suited to `removed_count`: a rational ratio is exact, so the last round is exactly p, and half of 512 is 256 however
    many rounds led to it; others have 40 digits or more.

    Args:
      sparsity: p, the final sparsity.
      cycle: c, 0 (before the first round) to n.
      cycles: n, at least 1.

    Raises:
      BadInput: If `cycles` or `cycle` is out of range, or the sparsity is invalid.

    >>> [round(float(cumulative_sparsity(.9, cycle, 5)), 4) for cycle in range(1, 6)]
    [0.369, 0.6019, 0.7488, 0.8415, 0.9]
    >>> cumulative_sparsity(.657, 1, 3), 1 - (1 - .657) ** (1 / 3)  # floats would remove 4 of 10
    (Fraction(3, 10), 0.30000000000000004)
    """
    cycles = whole_number("cycles", cycles, least=1)
    cycle = whole_number("cycle", cycle, least=0, most=cycles)
    density = 1 - parse_sparsity(sparsity)
    power = density**cycle
    with localcontext(prec=DIGITS + 2 * len(str(density.denominator))):
        root = Fraction((Decimal(power.numerator) / power.denominator) ** (Decimal(1) / cycles))
    rational = root.limit_denominator(density.denominator)  # no rational root has a larger denominator
    return 1 - (rational if rational**cycles == power else root)
