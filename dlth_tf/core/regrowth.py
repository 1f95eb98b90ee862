"""Drop fraction of dynamic sparse training, which drops the smallest weights and grows as many others (SET, RigL).

Mocanu et al., Nature Communications 2018 (SET); Evci et al., ICML 2020, arXiv:1911.11134 (RigL),
rigl_tf2/mask_updaters.py.
"""

from __future__ import annotations

import math

from dlth_tf.plain_numbers import FRACTION, real_number, whole_number


def drop_fraction(step: int, end: int, alpha: float = 0.3) -> float:
    """Fraction of the kept weights that one mask update exchanges.

    f(t) = alpha / 2 * (1 + cos(pi t / T_end)), and 0 from T_end on.

    Args:
      step: Optimizer step t, from 0.
      end: Optimizer step T_end of the last update.
      alpha: Fraction at step 0, 0 to 1.

    >>> [round(drop_fraction(step, 100), 3) for step in (0, 50, 99, 100, 500)]
    [0.3, 0.15, 0.0, 0.0, 0.0]
    """
    step = whole_number("step", step, least=0)
    end = whole_number("end", end)
    alpha = real_number("alpha", alpha, FRACTION)
    return alpha / 2 * (1 + math.cos(math.pi * step / end)) if step < end else 0.0
