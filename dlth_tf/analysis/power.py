"""Number of seeds needed to settle an undecided comparison."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from dlth_tf.plain_numbers import ABOVE_0, AT_LEAST_0, real_number

POWER = 0.8
MOST_SEEDS = 1000  # more would not be run in practice
_CHI_QUANTILES = (np.arange(500) + 0.5) / 500


def seeds_for_difference(true: float, spread: float, paired: bool) -> int | None:
    """Returns the seeds needed for a two-sided t-test at 5 % to detect a true difference with a power of 80 %.

    Args:
      true: The true difference.
      spread: Standard deviation of the difference between one run of each method, above 0.
      paired: Whether the methods share their seeds.

    Returns:
      Seeds of each method, at least 2; None if more than `MOST_SEEDS`.

    Raises:
      BadInput: If a number is out of range.
    """
    true = real_number("true", true)
    spread = real_number("spread", spread, ABOVE_0)

    def power(n: int) -> float:
        freedom = _freedom(n, paired)
        shift = min(abs(true) / spread * math.sqrt(n), 30.0)  # SciPy returns NaN for larger shifts
        critical = stats.t.ppf(0.975, freedom)
        return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))

    return _fewest(power)


def seeds_for_equivalence(margin: float, spread: float, paired: bool) -> int | None:
    """Returns the seeds needed to show equivalence with a power of 80 % if there is no true difference.

    The test is that of two one-sided t-tests at 5 %. Its power is the probability that the mean is closer to 0 than
    margin - t s / sqrt(n), averaged over the distribution of the sample standard deviation s (Phillips, Journal of
    Pharmacokinetics and Biopharmaceutics 18, 1990).

    Args:
      margin: Largest difference that counts as equivalent, at least 0.
      spread: Standard deviation, above 0, of the difference between one run of one method and one of the other.
      paired: Whether both methods have the same seeds.

    Returns:
      Seeds of each method, at least 2; None if more than `MOST_SEEDS`.

    Raises:
      BadInput: If a number is out of range.
    """
    margin = real_number("margin", margin, AT_LEAST_0)
    spread = real_number("spread", spread, ABOVE_0)

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
