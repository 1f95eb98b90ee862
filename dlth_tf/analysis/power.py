"""How many seeds would settle what these do not."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import numpy as np
from scipy import stats

POWER = 0.8
MOST_SEEDS = 1000  # beyond this nobody would run them
_CHI_QUANTILES = (np.arange(500) + 0.5) / 500


def seeds_to_tell_apart(true: float, spread: float, paired: bool) -> int | None:
    """How many seeds let a two-sided t-test at 5 % find a true difference with a power of 80 %.

    Args:
      true: the true difference.
      spread: standard deviation of the difference of one run of each, above 0.
      paired: whether seeds are shared.

    Returns:
      Seeds of each method, at least 2; None if more than `MOST_SEEDS`.
    """

    def power(n: int) -> float:
        freedom, shift = _freedom(n, paired), min(abs(true) / spread * math.sqrt(n), 30.0)  # beyond, scipy gives NaN
        critical = stats.t.ppf(0.975, freedom)
        return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))

    return _fewest(power)


def seeds_to_show_equivalence(margin: float, spread: float, paired: bool) -> int | None:
    """How many seeds let two one-sided t-tests at 5 % show equivalence with a power of 80 % if there is no true difference.

    The power is the chance that the mean lies closer to 0 than margin - t s / sqrt(n), averaged over the distribution of the
    sample's own standard deviation s (Phillips, Journal of Pharmacokinetics and Biopharmaceutics 18, 1990).

    Args:
      margin: above 0.
      spread: standard deviation of the difference of one run of each, above 0.
      paired: whether seeds are shared.

    Returns:
      Seeds of each method, at least 2; None if more than `MOST_SEEDS`.
    """

    def power(n: int) -> float:
        freedom = _freedom(n, paired)
        sample_spreads = np.sqrt(stats.chi2.ppf(_CHI_QUANTILES, freedom) / freedom)
        room = margin / spread * math.sqrt(n) - stats.t.ppf(0.95, freedom) * sample_spreads
        return float(np.clip(2 * stats.norm.cdf(room) - 1, 0, None).mean())

    return _fewest(power)


def _freedom(n: int, paired: bool) -> int:
    return n - 1 if paired else 2 * (n - 1)


def _fewest(power: Callable[[int], float]) -> int | None:
    numbers = range(2, MOST_SEEDS + 1)
    index = bisect.bisect_left(numbers, POWER, key=power)
    return numbers[index] if index < len(numbers) else None
