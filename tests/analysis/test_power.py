"""Number of seeds that settle a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dlth_tf.analysis.power import seeds_for_difference, seeds_for_equivalence


@pytest.mark.parametrize(
    ("effect", "paired", "seeds"),  # Cohen, Statistical Power Analysis (1988): 5 % two-sided, power .80
    [
        (0.5, True, 34),
        (0.8, True, 15),
        (0.2, True, 199),
        (0.5 / math.sqrt(2), False, 64),
        (0.8 / math.sqrt(2), False, 26),
    ],
)
def test_the_number_of_seeds_is_that_of_the_tables(effect: float, paired: bool, seeds: int) -> None:
    assert seeds_for_difference(effect, 1.0, paired) == seeds_for_difference(-5 * effect, 5.0, paired) == seeds


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("margin", [0.4, 0.9, 2.0])
def test_that_many_seeds_show_equivalence_four_times_in_five(margin: float, paired: bool) -> None:
    n = seeds_for_equivalence(margin, 1.0, paired)
    assert _simulated_power(n, margin, paired) > 0.78
    assert n == 2 or _simulated_power(n - 1, margin, paired) < 0.82


@pytest.mark.parametrize("number", [seeds_for_difference, seeds_for_equivalence])
def test_the_number_of_seeds_has_both_ends(number) -> None:
    assert number(1e6, 1.0, True) == number(1e6, 1.0, False) == 2
    assert number(1e-6, 1.0, True) is None and number(0.0, 1.0, True) is None


def _simulated_power(n: int, margin: float, paired: bool, times: int = 20_000) -> float:
    random = np.random.default_rng(n)
    freedom = n - 1 if paired else 2 * (n - 1)
    means = random.standard_normal(times) / math.sqrt(n)
    errors = np.sqrt(random.chisquare(freedom, times) / freedom / n)
    return float((np.abs(means) + stats.t.ppf(0.95, freedom) * errors < margin).mean())
