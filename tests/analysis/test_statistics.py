"""Intervals for the difference of two methods."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from dlth_tf.analysis.statistics import compare_means

T_975_2 = 4.30265  # Student's t with 2 degrees of freedom, from a table
T_95_2 = 2.91999


def by_seed(*values: float, first: int = 0) -> dict[int, float]:
    return dict(enumerate(values, first))


def test_paired_seeds_give_the_interval_worked_by_hand() -> None:
    result = compare_means(
        by_seed(92, 93, 96), by_seed(90, 90, 92)
    )  # differences 2, 3, 4: mean 3, standard deviation 1
    assert (result.mean, result.spread, result.freedom, result.paired) == (3, 1, 2, True)
    assert result.interval(0.95) == pytest.approx((3 - T_975_2 / math.sqrt(3), 3 + T_975_2 / math.sqrt(3)), rel=1e-5)
    assert result.interval(0.90) == pytest.approx((3 - T_95_2 / math.sqrt(3), 3 + T_95_2 / math.sqrt(3)), rel=1e-5)


def test_pairing_removes_what_a_seed_does_to_both() -> None:
    a, b = by_seed(80, 90, 99), by_seed(79, 89.1, 97.9)
    assert compare_means(a, b).error < 0.1 < 5 < compare_means(a, by_seed(*b.values(), first=10)).error


def test_seeds_that_are_not_shared_are_left_out_of_pairs() -> None:
    result = compare_means({0: 92, 1: 93, 2: 96, 9: 0}, {0: 90, 1: 90, 2: 92, 7: 50, 8: 50})
    assert (result.mean, result.seeds_a, result.seeds_b, result.paired) == (3, 3, 3, True)


@pytest.mark.parametrize("shared", [0, 1])
def test_fewer_than_two_shared_seeds_are_compared_as_welch_does(shared: int) -> None:
    a, b = by_seed(1, 2, 3), by_seed(2, 4, 6, 8, first=3 - shared)
    result = compare_means(a, b)
    # Variances 1 and 20/3: parts 1/3 and 5/3, and 2^2 / ((1/3)^2 / 2 + (5/3)^2 / 3) degrees of freedom.
    assert (result.mean, result.error, result.paired) == (-3, pytest.approx(math.sqrt(2)), False)
    assert result.freedom == pytest.approx(4 / (1 / 18 + 25 / 27))
    independent = stats.ttest_ind([*a.values()], [*b.values()], equal_var=False).confidence_interval(0.95)
    assert result.interval(0.95) == pytest.approx((independent.low, independent.high))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (by_seed(1), by_seed(2)),
        (by_seed(1), by_seed(2, first=5)),
        (by_seed(1), by_seed(2, 3, 4)),
        (by_seed(1, 2, 3), by_seed(1, 2, 3)),  # no spread, and the resolution is unknown
        (by_seed(0.97, 0.96), by_seed(0.95, 0.94)),  # no spread except floating-point rounding
    ],
)
def test_too_few_values_have_no_interval(a, b) -> None:
    result = compare_means(a, b)
    assert (
        not result.has_interval and all(math.isnan(end) for end in result.interval(0.95)) and math.isfinite(result.mean)
    )


def test_seeds_that_agree_to_the_last_image_have_the_spread_of_rounding() -> None:
    paired = compare_means(by_seed(96.2, 96.4, 97.0), by_seed(96.0, 96.2, 96.8), resolution=0.2)
    assert (
        paired.spread == pytest.approx(math.sqrt(2 * 0.2**2 / 12)) and paired.has_interval
    )  # two uniform rounding errors
    unpaired = compare_means(by_seed(96.2, 96.2), by_seed(96.0, 96.0, first=5), resolution=0.2)
    assert unpaired.spread == pytest.approx(paired.spread) and unpaired.has_interval


def test_a_spread_above_that_of_rounding_is_left_as_it_is() -> None:
    assert compare_means(by_seed(92, 93, 96), by_seed(90, 90, 92), resolution=0.2).spread == 1


@pytest.mark.parametrize(
    ("a", "b"), [({}, by_seed(1)), (by_seed(1), {}), (by_seed(1, math.nan), by_seed(1, 2)), (by_seed(math.inf), {1: 2})]
)
def test_values_that_are_missing_or_not_finite_are_refused(a, b) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        compare_means(a, b)
