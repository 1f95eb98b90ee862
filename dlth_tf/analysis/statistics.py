"""Student's and Welch's intervals for the difference of two methods that ran with a few seeds each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dlth_tf.plain_numbers import AT_LEAST_0, Interval, real_number

_NO_SPREAD = 1e-9  # a smaller spread is floating-point rounding


@dataclass(frozen=True)
class Difference:
    """Mean difference a - b of two methods, with its uncertainty; all in the unit of the values.

    Attributes:
      mean: Mean of a - b, over the shared seeds if `paired`.
      spread: Standard deviation of the difference between one run of each method; NaN if unknown.
      error: Standard error of `mean`; NaN if the spread is unknown.
      freedom: Degrees of freedom of `error`.
      seeds_a: Number of seeds of the first method that were used.
      seeds_b: Number of seeds of the second method that were used.
      paired: Whether the differences were computed seed by seed.
    """

    mean: float
    spread: float
    error: float
    freedom: float
    seeds_a: int
    seeds_b: int
    paired: bool

    @property
    def has_interval(self) -> bool:
        """True if a confidence interval can be computed."""
        return math.isfinite(self.error)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Returns Student's two-sided interval for the true mean difference; (NaN, NaN) if it cannot be computed.

        Args:
          confidence: Confidence level, above 0 and below 1.

        Raises:
          BadInput: If `confidence` is out of range.
        """
        confidence = real_number("confidence", confidence, Interval(above=0, below=1))
        if not self.has_interval:
            return math.nan, math.nan
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half


def compare_means(a: Mapping[int, float], b: Mapping[int, float], resolution: float = 0.0) -> Difference:
    """Compares two methods by their values per seed.

    With at least two shared seeds, the comparison is paired over these and leaves out the others. Otherwise it is
    Welch's comparison of all values, which needs at least two values of each method.

    The spread is never smaller than the rounding error alone: a value that comes in steps of `resolution` has the
    standard deviation resolution / sqrt(12) of a uniform rounding error, and a difference of two values sqrt(2) times
    that. So seeds that happen to agree to the last image do not prove the absence of variance. Without a resolution, a
    spread of 0 is treated as unknown.

    Args:
      a: Values of the first method by seed.
      b: Values of the second method by seed.
      resolution: Step of the values, at least 0.

    Raises:
      ValueError: If a method has no value, a value is not finite, or `resolution` is invalid.
    """
    resolution = real_number("resolution", resolution, AT_LEAST_0)
    if not a or not b or not all(math.isfinite(value) for value in (*a.values(), *b.values())):
        raise ValueError("both methods need at least one value, and all must be finite")
    shared = sorted(a.keys() & b.keys())
    if len(shared) > 1 or (len(a) == len(b) == len(shared)):
        return _paired(np.array([a[seed] - b[seed] for seed in shared]), resolution)
    return _welch(np.array([*a.values()]), np.array([*b.values()]), resolution)


def _paired(differences: np.ndarray, resolution: float) -> Difference:
    n = len(differences)
    spread = _deviation(differences, resolution / math.sqrt(6))
    return Difference(float(differences.mean()), spread, spread / math.sqrt(n), n - 1, n, n, True)


def _welch(a: np.ndarray, b: np.ndarray, resolution: float) -> Difference:
    deviations = [_deviation(values, resolution / math.sqrt(12)) for values in (a, b)]
    parts = [deviation**2 / len(values) for deviation, values in zip(deviations, (a, b), strict=True)]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1)) if error > 0 else math.nan
    return Difference(float(a.mean() - b.mean()), math.hypot(*deviations), error, freedom, len(a), len(b), False)


def _deviation(values: np.ndarray, least: float) -> float:
    """Returns the sample standard deviation, at least `least`; NaN if both are unknown."""
    if len(values) < 2:
        return math.nan
    deviation = max(float(values.std(ddof=1)), least)
    return deviation if deviation > _NO_SPREAD else math.nan
