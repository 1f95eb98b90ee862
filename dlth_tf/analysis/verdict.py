"""Verdict on a sweep: whether the transformed random ticket matches the winning ticket and beats plain training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dlth_tf.analysis.comparison import Comparison, compare
from dlth_tf.analysis.power import POWER
from dlth_tf.analysis.roles import CONTROLS, TRANSFORMED, WINNING
from dlth_tf.plain_numbers import FRACTION, Interval, real_number, whole_number, whole_or_none

DEFAULT_MARGIN = 0.5
POINTS = 100  # points of accuracy in an accuracy of 1


@dataclass(frozen=True)
class Verdict:
    """Comparisons of one transformed ticket at one sparsity.

    Attributes:
      method: Name of the method, one of `roles.TRANSFORMED`.
      sparsity: Fraction of the prunable weights removed, 0 to 1.
      accuracy: Mean test accuracy over all seeds of the ticket, a fraction.
      comparisons: Comparisons with the controls and the winning ticket that the sweep contains.
    """

    method: str
    sparsity: float
    accuracy: float
    comparisons: tuple[Comparison, ...]


def check_margin(margin: float) -> float:
    """Returns the margin if it is valid.

    Raises:
      BadInput: If the margin is not above 0 and at most 100 (points of test accuracy).
    """
    return real_number("margin", margin, Interval(above=0, most=POINTS))


def judge(results: pd.DataFrame, margin: float = DEFAULT_MARGIN, test_images: int | None = None) -> tuple[Verdict, ...]:
    """Compares every transformed ticket with the controls and the winning ticket of the same sparsity.

    Args:
      results: Table returned by `read_results`.
      margin: Largest difference that counts as equivalent, in points, above 0.
      test_images: Number of test images, which determines the smallest step of an accuracy; None if unknown.

    Raises:
      BadInput: If the margin or the number of test images is invalid.
    """
    margin = check_margin(margin)
    images = whole_or_none("test_images", test_images, least=1)
    step = POINTS / images if images else 0.0
    verdicts = []
    for (method, sparsity), runs in results[results["method"].isin(TRANSFORMED)].groupby(["method", "sparsity"]):
        same_sparsity = results[results["sparsity"] == sparsity]
        others = {
            name: _by_seed(same_sparsity[same_sparsity["method"] == name])
            for name in (*CONTROLS, *WINNING)
            if name in set(same_sparsity["method"])
        }
        comparisons = tuple(compare(_by_seed(runs), others[name], name, margin, step) for name in _opponents(others))
        verdicts.append(Verdict(method, sparsity, runs["test_accuracy_last"].mean(), comparisons))
    return tuple(verdicts)


def verdict_json(verdicts: tuple[Verdict, ...], margin: float, test_images: int | None) -> dict[str, Any]:
    """Returns the numbers of `verdict.json`, to which the report adds `sentences` and `notes`.

    Keys: `metric`, `margin_points`, `power`, `corrected_for_multiplicity` (false), `test_images` and `one_image_points`
    (null if unknown), and `verdicts`, a list of {method, sparsity, accuracy (mean, a fraction), binomial_error_points,
    comparisons}. A comparison contains `against`, `role`, `paired`, `seeds` (seeds of the transformed ticket that were
    used), `seeds_against` (number of seeds of the other method), `difference_points` (positive if the transformed
    ticket is better), `spread_points` (standard deviation of the difference between one run of each method),
    `interval_95` and `interval_90` (points), `better`, `worse`, `equivalent`, `outcome`, `more_seeds_for`
    ("equivalence", "difference", or null if the comparison is settled) and `more_seeds` (null if settled, or if more
    than 1000). Unknown values are null.
    """
    test_images = whole_or_none("test_images", test_images, least=1)
    return {
        "metric": "test.accuracy_last",
        "margin_points": check_margin(margin),
        "power": POWER,
        "corrected_for_multiplicity": False,
        "test_images": test_images,
        "one_image_points": POINTS / test_images if test_images else None,
        "verdicts": [
            {
                "method": verdict.method,
                "sparsity": verdict.sparsity,
                "accuracy": verdict.accuracy,
                "binomial_error_points": binomial_error(verdict.accuracy, test_images) if test_images else None,
                "comparisons": [_comparison_json(comparison) for comparison in verdict.comparisons],
            }
            for verdict in verdicts
        ],
    }


def binomial_error(accuracy: float, images: int) -> float:
    """Returns the standard error, in points, of an accuracy (a fraction) measured on `images` images."""
    accuracy = real_number("accuracy", accuracy, FRACTION)
    images = whole_number("images", images, least=1)
    return POINTS * math.sqrt(accuracy * (1 - accuracy) / images)


def _opponents(others: Mapping[str, Any]) -> list[str]:
    return [name for name in CONTROLS if name in others] + [name for name in WINNING if name in others][:1]


def _by_seed(runs: pd.DataFrame) -> dict[int, float]:
    return {
        int(seed): POINTS * accuracy for seed, accuracy in zip(runs["seed"], runs["test_accuracy_last"], strict=True)
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    purpose, number = comparison.more_seeds or (None, None)
    return {
        "against": comparison.against,
        "role": comparison.role,
        "paired": difference.paired,
        "seeds": list(comparison.seeds),
        "seeds_against": difference.seeds_b,
        "difference_points": difference.mean,
        "spread_points": _or_none(difference.spread),
        "interval_95": [_or_none(end) for end in comparison.interval_95],
        "interval_90": [_or_none(end) for end in comparison.interval_90],
        **{name: getattr(comparison, name) for name in ("better", "worse", "equivalent", "outcome")},
        "more_seeds_for": purpose,
        "more_seeds": number,
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
