"""The verdict on a sweep: does the transformed random ticket match the winning ticket, and does it beat plain training?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dlth_tf.analysis.comparison import WINNING, Comparison, compare
from dlth_tf.analysis.power import POWER
from dlth_tf.errors import BadInput

DEFAULT_MARGIN = 0.5
TRANSFORMED = ("rst", "rst_iter")
CONTROLS = ("scratch", "scratch_long")
POINTS = 100  # in one, the whole of accuracy


@dataclass(frozen=True)
class Verdict:
    """What a sweep says about one transformed ticket at one sparsity.

    Attributes:
      method: of `TRANSFORMED`.
      sparsity: fraction removed.
      accuracy: its mean test accuracy over all its seeds, a fraction.
      comparisons: against the controls and the winning ticket, as far as the sweep has them.
    """

    method: str
    sparsity: float
    accuracy: float
    comparisons: tuple[Comparison, ...]


def check_margin(margin: float) -> float:
    """The margin, if it is one.

    Raises:
      BadInput: not above 0 and at most 100 points.
    """
    if not 0 < margin <= POINTS:
        raise BadInput("margin", margin, "must be above 0 and at most 100 (points of test accuracy)")
    return margin


def judge(results: pd.DataFrame, margin: float = DEFAULT_MARGIN, test_images: int | None = None) -> tuple[Verdict, ...]:
    """Compares every transformed ticket with the controls and the winning ticket, sparsity by sparsity.

    Args:
      results: what `read_results` gives.
      margin: what counts as equivalent, in points, above 0.
      test_images: size of the test set; one image is the smallest step of an accuracy.

    Raises:
      BadInput: the margin is none.
    """
    check_margin(margin)
    step = POINTS / test_images if test_images else 0.0
    found = []
    for (method, sparsity), runs in results[results["method"].isin(TRANSFORMED)].groupby(["method", "sparsity"]):
        there = results[results["sparsity"] == sparsity]
        others = {
            name: _by_seed(there[there["method"] == name])
            for name in (*CONTROLS, *WINNING)
            if name in set(there["method"])
        }
        comparisons = tuple(compare(_by_seed(runs), others[name], name, margin, step) for name in _opponents(others))
        found.append(Verdict(method, sparsity, runs["test_accuracy_last"].mean(), comparisons))
    return tuple(found)


def verdict_json(verdicts: tuple[Verdict, ...], margin: float, test_images: int | None) -> dict[str, Any]:
    """The numbers of `verdict.json`; the report adds its `sentences` and `notes`.

    Keys: `metric`, `margin_points`, `power`, `corrected_for_multiplicity` (false), `test_images` and `one_image_points` (null
    if not known), and `verdicts`: a list of {method, sparsity, accuracy (mean, a fraction), binomial_error_points, comparisons}.
    A comparison holds `against`, `role`, `paired`, `seeds` (those of the transformed ticket that count), `seeds_against` (how
    many of the other), `difference_points` (positive: the transformed ticket is better), `spread_points` (standard deviation of
    one difference), `interval_95` and `interval_90` (points), `better`, `worse`, `equivalent`, `outcome`, `more_seeds_for`
    ("equivalence" or "difference") and `more_seeds` (null: settled, or, with `more_seeds_for`, more than 1000). What is not
    known is null.
    """
    return {
        "metric": "test.accuracy_last",
        "margin_points": margin,
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
    """Standard error, in points, of an accuracy (a fraction) that was measured on that many images."""
    return POINTS * math.sqrt(accuracy * (1 - accuracy) / images)


def _opponents(others: Mapping[str, Any]) -> list[str]:
    return [name for name in CONTROLS if name in others] + [name for name in WINNING if name in others][:1]


def _by_seed(runs: pd.DataFrame) -> dict[int, float]:
    return {
        int(seed): POINTS * accuracy for seed, accuracy in zip(runs["seed"], runs["test_accuracy_last"], strict=True)
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    found, (purpose, number) = comparison.found, comparison.more_seeds or (None, None)
    return {
        "against": comparison.against,
        "role": comparison.role,
        "paired": found.paired,
        "seeds": list(comparison.seeds),
        "seeds_against": found.seeds_b,
        "difference_points": found.mean,
        "spread_points": _or_none(found.spread),
        "interval_95": [_or_none(end) for end in comparison.interval_95],
        "interval_90": [_or_none(end) for end in comparison.interval_90],
        **{name: getattr(comparison, name) for name in ("better", "worse", "equivalent", "outcome")},
        "more_seeds_for": purpose,
        "more_seeds": number,
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
