"""Outcomes of a comparison, and the rates at which they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlth_tf.analysis.comparison import Comparison, compare

SWEEPS = 2000
ERROR = 3 * math.sqrt(0.05 * 0.95 / SWEEPS)  # three standard errors of a rate of 5 %


def compared(
    a: list[float], b: list[float], margin: float = 1.0, against: str = "lth", resolution: float = 0.0
) -> Comparison:
    return compare(dict(enumerate(a)), dict(enumerate(b)), against, margin, resolution)


# Differences with mean 0.2 and standard deviation s have half widths t s / sqrt(3): 2.484 s at 95 %, 1.686 s at 90 %.
@pytest.mark.parametrize(
    ("differences", "outcome", "better", "worse", "equivalent"),
    [
        ([0.0, 0.2, 0.4], "equivalent", False, False, True),  # s = .2: 90 % [-0.14, 0.54], 95 % [-0.30, 0.70]
        ([0.18, 0.2, 0.22], "equivalent", True, False, True),  # s = .02: 95 % [0.15, 0.25]: small but significant
        ([-0.22, -0.2, -0.18], "equivalent", False, True, True),
        ([-0.4, 0.2, 0.8], "undecided", False, False, False),  # s = .6: 90 % [-0.81, 1.21]
        ([2.0, 3.0, 4.0], "better", True, False, False),  # s = 1: 95 % [0.52, 5.48]
        ([-2.0, -3.0, -4.0], "worse", False, True, False),
        ([1.0, 3.0, 5.0], "undecided", False, False, False),  # s = 2: 95 % [-1.97, 7.97]
    ],
)
def test_outcomes_are_those_worked_by_hand(
    differences, outcome: str, better: bool, worse: bool, equivalent: bool
) -> None:
    comparison = compared([90 + value for value in differences], [90.0] * 3)
    assert (comparison.outcome, comparison.better, comparison.worse, comparison.equivalent) == (
        outcome,
        better,
        worse,
        equivalent,
    )


def test_one_seed_is_no_test_and_settles_nothing() -> None:
    comparison = compared([97.0], [50.0])
    assert (comparison.outcome, comparison.better, comparison.worse, comparison.equivalent, comparison.more_seeds) == (
        "no test",
        False,
        False,
        False,
        None,
    )


def test_identical_differences_are_a_test_only_if_the_size_of_the_test_set_is_known() -> None:
    assert compared([96, 97, 98], [95.8, 96.8, 97.8]).outcome == "no test"
    comparison = compared([96, 97, 98], [95.8, 96.8, 97.8], resolution=0.2)
    assert comparison.outcome == "equivalent" and comparison.interval_95[0] < 0.2 < comparison.interval_95[1]


def test_the_margin_decides_on_equivalence() -> None:
    a, b = [90.0, 90.2, 90.4], [90.0] * 3  # 90 % interval [-0.14, 0.54]
    assert compared(a, b, margin=0.55).equivalent and not compared(a, b, margin=0.53).equivalent


@pytest.mark.parametrize(
    ("differences", "against", "purpose"),
    [
        ([-0.4, 0.2, 0.8], "lth", "equivalence"),
        ([-0.4, 0.2, 0.8], "scratch", "difference"),  # equivalence is no question for a control
        ([1.0, 3.0, 5.0], "lth", "difference"),  # beyond the margin already
        (
            [1.47, -0.23] * 5,
            "lth",
            "difference",
        ),  # ten seeds are enough if there is no difference: probably there is one
    ],
)
def test_too_few_seeds_come_with_the_number_that_is_needed(differences, against: str, purpose: str) -> None:
    comparison = compared([90 + value for value in differences], [90.0] * len(differences), against=against)
    assert comparison.outcome == "undecided"
    assert comparison.more_seeds[0] == purpose and comparison.more_seeds[1] > len(differences)


def test_settled_matters_need_no_more_seeds() -> None:
    assert compared([92.0, 93.0, 94.0], [90.0] * 3).more_seeds is None


@pytest.mark.fast_cases("3-0.2-False", "8-0.0-True")
@pytest.mark.parametrize(
    ("n", "step", "unpaired"),
    [(2, 0.0, False), (3, 0.2, False), (8, 0.0, False), (8, 0.2, False), (3, 0.2, True), (8, 0.0, True)],
)
def test_false_answers_are_as_rare_as_promised(n: int, step: float, unpaired: bool) -> None:
    equal = _simulated(n, 0.0, step, unpaired)
    assert np.mean([comparison.better or comparison.worse for comparison in equal]) < 0.05 + ERROR
    assert np.mean([comparison.better for comparison in equal]) < 0.025 + ERROR
    # The true difference is the margin: just not equivalent.
    different = _simulated(n, -1.0 if unpaired else 1.0, step, unpaired)
    assert np.mean([comparison.equivalent for comparison in different]) < 0.05 + ERROR


def test_the_simulation_would_find_intervals_that_are_too_narrow() -> None:
    comparisons = _simulated(3, 0.0, 0.0, False)
    normal = np.mean(
        [abs(comparison.difference.mean) > 1.96 * comparison.difference.error for comparison in comparisons]
    )
    assert normal > 0.05 + 4 * ERROR


def test_true_answers_are_found() -> None:
    assert np.mean([comparison.better for comparison in _simulated(8, 3.0, 0.2, False)]) > 0.95
    assert np.mean([comparison.equivalent for comparison in _simulated(16, 0.0, 0.2, False)]) > 0.8


def _simulated(n: int, truth: float, step: float, unpaired: bool) -> list[Comparison]:
    """Compares 2,000 pairs of methods whose accuracies differ by `truth` on average; a seed shifts both."""
    random = np.random.default_rng(n)
    common = random.normal(0, 1.5, (SWEEPS, n, 1))
    accuracies = 90 + common + random.normal(0, 0.8, (SWEEPS, n, 2)) + [truth, 0]
    if step:
        accuracies = np.round(accuracies / step) * step
    first = n if unpaired else 0
    if unpaired:
        accuracies[..., 1] += random.normal(0, 1.5, (SWEEPS, n)) - common[..., 0]
    return [
        compare(dict(enumerate(sweep[:, 0])), dict(enumerate(sweep[:, 1], first)), "lth", 1.0, step)
        for sweep in accuracies
    ]
