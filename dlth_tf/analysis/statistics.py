"""What a few seeds can say about the difference of two methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

_NO_SPREAD = 1e-9  # below this a spread is rounding of floats


@dataclass(frozen=True)
class Difference:
    """The mean difference a - b of two methods, and how well the seeds know it; all in the unit of the values.

    Attributes:
      mean: of a - b; over the shared seeds if `paired`.
      spread: standard deviation of the difference of one run of each; NaN where it is not known.
      error: standard error of `mean`; NaN where the spread is not known.
      freedom: degrees of freedom of `error`.
      seeds_a, seeds_b: how many seeds of each stand behind it.
      paired: whether the differences were taken seed by seed.
    """

    mean: float
    spread: float
    error: float
    freedom: float
    seeds_a: int
    seeds_b: int
    paired: bool

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return math.isfinite(self.error)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Student's two-sided interval for the true mean difference; NaN, NaN where there is none.

        Args:
          confidence: above 0 and below 1.
        """
        if not self.known:
            return math.nan, math.nan
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half


def difference(a: Mapping[int, float], b: Mapping[int, float], resolution: float = 0.0) -> Difference:
    """Compares two methods by their values per seed.

    Paired by seed over the shared seeds if there are at least two (the others are left out); otherwise Welch's comparison
    of all values, if both methods have at least two.

    A spread is never taken to be smaller than what rounding alone makes: a value that comes in steps of `resolution` has
    the standard deviation resolution / sqrt(12) of a uniform rounding error, a difference of two sqrt(2) times that. So seeds
    that happen to agree to the last image do not prove that there is no chance in them. Without a resolution, no spread
    means that nothing is known about it.

    Args:
      a: seed -> value.
      b: seed -> value.
      resolution: the step of the values, from 0.

    Raises:
      ValueError: a method has no value, or one that is not finite.
    """
    if not a or not b or not all(math.isfinite(value) for value in (*a.values(), *b.values())):
        raise ValueError("both methods need at least one value, and all must be finite")
    shared = sorted(a.keys() & b.keys())
    if len(shared) > 1 or (len(a) == len(b) == len(shared)):
        return _paired(np.array([a[seed] - b[seed] for seed in shared]), resolution)
    return _welch(np.array([*a.values()]), np.array([*b.values()]), resolution)


def _paired(differences: np.ndarray, resolution: float) -> Difference:
    n = len(differences)
    spread = _floored(differences, resolution / math.sqrt(6))
    return Difference(float(differences.mean()), spread, spread / math.sqrt(n), n - 1, n, n, True)


def _welch(a: np.ndarray, b: np.ndarray, resolution: float) -> Difference:
    deviations = [_floored(values, resolution / math.sqrt(12)) for values in (a, b)]
    parts = [deviation**2 / len(values) for deviation, values in zip(deviations, (a, b), strict=True)]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1)) if error > 0 else math.nan
    return Difference(float(a.mean() - b.mean()), math.hypot(*deviations), error, freedom, len(a), len(b), False)


def _floored(values: np.ndarray, least: float) -> float:
    """The sample standard deviation, at least `least`; NaN where neither says anything."""
    if len(values) < 2:
        return math.nan
    found = max(float(values.std(ddof=1)), least)
    return found if found > _NO_SPREAD else math.nan
