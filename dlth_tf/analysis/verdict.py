"""Verdict on a sweep: whether the transformed random ticket matches the winning ticket and beats plain training.

Like is compared with like, as in the paper: rst with lth, and rst_iter with lth_iter; rst beside lth_iter is the harder
question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dlth_tf.analysis.chance import seeds_at_chance
from dlth_tf.analysis.comparison import Comparison, compare
from dlth_tf.analysis.power import POWER
from dlth_tf.analysis.results import TARGET_VARIANCE, measure_of
from dlth_tf.analysis.roles import TRANSFORMED, opponents, question
from dlth_tf.measures import ACCURACY, Measure
from dlth_tf.plain_numbers import FRACTION, Interval, real_number, whole_number, whole_or_none

DEFAULT_MARGIN = 0.5
POINTS = 100  # points of accuracy in an accuracy of 1; of error, in one as large as the variance of the test targets


@dataclass(frozen=True)
class Runs:
    """Runs of one method at one sparsity: what the verdict says of them beside their accuracy.

    Attributes:
      seeds: Number of seeds.
      images_seen: Images that a run trains on in all its phases, mean over the seeds.
      at_chance: Seeds whose accuracy is that of a guess; None if the number of classes or test images is unknown.
    """

    seeds: int
    images_seen: float
    at_chance: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Verdict:
    """Comparisons of one transformed ticket at one sparsity.

    Attributes:
      method: Name of the method, one of `roles.TRANSFORMED`.
      sparsity: Fraction of the prunable weights removed, 0 to 1.
      accuracy: Mean test accuracy over all seeds of the ticket, a fraction; or mean squared error, if that is measured.
      comparisons: Comparisons with those of `roles.opponents` that the sweep contains, in this order.
      runs: Runs of the transformed ticket.
      others: Runs of every method that it is compared with, by name; `images_seen` is over the seeds of the comparison.
      images_beside: Images that a run of the ticket trains on, mean over the seeds of a comparison, by the name of the
        other method; for a name that is not in it, those of `runs`.
      measure: What is compared.
      target_variance: Variance of the test targets in regression, the mean over several; None otherwise.
    """

    method: str
    sparsity: float
    accuracy: float
    comparisons: tuple[Comparison, ...]
    runs: Runs
    others: Mapping[str, Runs]
    measure: Measure = ACCURACY
    target_variance: float | None = None
    images_beside: Mapping[str, float] = field(default_factory=dict)

    def own_images(self, against: str) -> float:
        """Returns the images that a run of the ticket trains on, over the seeds of its comparison with a method."""
        return self.images_beside.get(against, self.runs.images_seen)


def check_margin(margin: float) -> float:
    """Returns the margin if it is valid.

    Raises:
      BadInput: If the margin is not above 0 and at most 100 (points of test accuracy).
    """
    return real_number("margin", margin, Interval(above=0, most=POINTS))


def judge(
    results: pd.DataFrame, margin: float = DEFAULT_MARGIN, test_images: int | None = None, classes: int | None = None
) -> tuple[Verdict, ...]:
    """Compares every transformed ticket with the controls and the winning tickets of the same sparsity.

    Differences are in points. Of accuracy, these are points of percent. A point of error is one percent of the variance
    of the test targets, the mean squared error of the best constant: so the margin has the same meaning at every scale
    of the targets, and 100 points separate a perfect network from one that learned nothing.

    Args:
      results: Table returned by `read_results`.
      margin: Largest difference that counts as equivalent, in points, above 0.
      test_images: Number of test images, which determines the smallest step of an accuracy; None if unknown.
      classes: Number of classes, which determines the accuracy of a guess; None if unknown.

    Raises:
      BadInput: If the margin, the number of test images or the number of classes is invalid.
    """
    margin = check_margin(margin)
    images = whole_or_none("test_images", test_images, least=1)
    classes = whole_or_none("classes", classes, least=1)
    measure = measure_of(results)
    column = f"test_{measure.name}_last"
    variance = None if measure is ACCURACY else float(results[TARGET_VARIANCE].iloc[0])
    unit = POINTS if variance is None else -POINTS / (variance or 1.0)
    if measure is not ACCURACY:
        classes = None
    step = POINTS / images if images and measure is ACCURACY else 0.0
    verdicts = []
    for (method, sparsity), own in results[results["method"].isin(TRANSFORMED)].groupby(["method", "sparsity"]):
        same_sparsity = results[results["sparsity"] == sparsity]
        others = {
            name: same_sparsity[same_sparsity["method"] == name]
            for name in opponents(method)
            if name in set(same_sparsity["method"])
        }
        comparisons = {
            name: compare(_points(own, unit), _points(runs, unit), name, margin, step) for name, runs in others.items()
        }
        verdicts.append(
            Verdict(
                method,
                sparsity,
                own[column].mean(),
                tuple(comparisons.values()),
                _runs(own, images, classes),
                {name: _runs(runs, images, classes, comparisons[name]) for name, runs in others.items()},
                measure,
                variance,
                {name: _images_seen(own, comparison) for name, comparison in comparisons.items()},
            )
        )
    return tuple(verdicts)


def verdict_json(
    verdicts: tuple[Verdict, ...], margin: float, test_images: int | None, measure: Measure = ACCURACY
) -> dict[str, Any]:
    """Returns the numbers of `verdict.json`, to which the report adds `answers`, `sentences` and `notes`.

    Keys: `metric`, `margin_points`, `power`, `corrected_for_multiplicity` (false), `test_images` and `one_image_points`
    (null if unknown), and `verdicts`, a list of {method, sparsity, accuracy (mean, a fraction), binomial_error_points,
    images_seen (mean), seeds_at_chance, comparisons}. A comparison contains `against`, `role`, `question` ("like with
    like", "the harder question" or "control"), `images_seen` and `images_seen_against` (means over the seeds of the
    comparison), `seeds_at_chance_against`, `paired`,
    `seeds` (seeds of the transformed ticket that were used), `seeds_against` (number of seeds of the other method),
    `difference_points` (positive if the transformed ticket is better), `spread_points` (standard deviation of the
    difference between one run of each method), `interval_95` and `interval_90` (points), `better`, `worse`,
    `equivalent`, `outcome`, `more_seeds_for` ("equivalence", "difference", or null if the comparison is settled) and
    `more_seeds` (null if settled, or if more than 1000). Unknown values are null. In regression `mse` replaces
    `accuracy`, `target_variance` says what 100 points are, and a positive difference is a smaller error.
    """
    test_images = whole_or_none("test_images", test_images, least=1)
    return {
        "metric": f"test.{measure.name}_last",
        "margin_points": check_margin(margin),
        "power": POWER,
        "corrected_for_multiplicity": False,
        "test_images": test_images,
        "one_image_points": POINTS / test_images if test_images and measure is ACCURACY else None,
        "verdicts": [
            {
                "method": verdict.method,
                "sparsity": verdict.sparsity,
                **_measured(verdict, test_images),
                "images_seen": verdict.runs.images_seen,
                "seeds_at_chance": verdict.runs.at_chance,
                "comparisons": [_comparison_json(verdict, comparison) for comparison in verdict.comparisons],
            }
            for verdict in verdicts
        ],
    }


def _measured(verdict: Verdict, test_images: int | None) -> dict[str, Any]:
    if verdict.measure is not ACCURACY:
        return {verdict.measure.name: verdict.accuracy, "target_variance": verdict.target_variance}
    error = binomial_error(verdict.accuracy, test_images) if test_images else None
    return {"accuracy": verdict.accuracy, "binomial_error_points": error}


def binomial_error(accuracy: float, images: int) -> float:
    """Returns the standard error, in points, of an accuracy (a fraction) measured on `images` images."""
    accuracy = real_number("accuracy", accuracy, FRACTION)
    images = whole_number("images", images, least=1)
    return POINTS * math.sqrt(accuracy * (1 - accuracy) / images)


def _runs(runs: pd.DataFrame, images: int | None, classes: int | None, comparison: Comparison | None = None) -> Runs:
    at_chance = seeds_at_chance(_by_seed(runs), classes, images)
    return Runs(len(runs), _images_seen(runs, comparison), at_chance)


def _images_seen(runs: pd.DataFrame, comparison: Comparison | None) -> float:
    """Returns the images that a run trains on, mean over the seeds that a comparison is based on, or over all."""
    paired = comparison is not None and comparison.difference.paired
    compared = runs[runs["seed"].isin(comparison.seeds)] if paired and comparison else runs
    return float(compared["images_seen"].mean())


def _points(runs: pd.DataFrame, unit: float) -> dict[int, float]:
    return {seed: unit * value for seed, value in _by_seed(runs).items()}


def _by_seed(runs: pd.DataFrame) -> dict[int, float]:
    return {
        int(seed): accuracy
        for seed, accuracy in zip(runs["seed"], runs[f"test_{measure_of(runs).name}_last"], strict=True)
    }


def _comparison_json(verdict: Verdict, comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    purpose, number = comparison.more_seeds or (None, None)
    return {
        "against": comparison.against,
        "role": comparison.role,
        "question": question(verdict.method, comparison.against),
        "images_seen": verdict.own_images(comparison.against),
        "images_seen_against": verdict.others[comparison.against].images_seen,
        "seeds_at_chance_against": verdict.others[comparison.against].at_chance,
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
