"""Ratios of cycles, rounds and levels: the tables of METHODS.md, and counts that are exact whatever the number of cycles."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import cumulative_sparsity, removed_count
from dlth_tf.errors import BadInput

RST_ITER = {  # E.2, n = 5
    0.5: (0.1294, 0.2421, 0.3402, 0.4257, 0.5),
    0.7: (0.2140, 0.3822, 0.5144, 0.6183, 0.7),
    0.9: (0.3690, 0.6019, 0.7488, 0.8415, 0.9),
    0.95: (0.4507, 0.6983, 0.8343, 0.9090, 0.95),
    0.98: (0.5427, 0.7909, 0.9044, 0.9563, 0.98),
}
IMP = (0.2, 0.36, 0.488, 0.5904, 0.6723, 0.7379, 0.7903, 0.8322, 0.8658, 0.8926)  # E.4, levels 1 to 18
IMP += (0.9141, 0.9313, 0.945, 0.956, 0.9648, 0.9719, 0.9775, 0.982)
SYNFLOW = {
    1: 0.9772,
    10: 0.7943,
    25: 0.5623,
    50: 0.3162,
    75: 0.1778,
    100: 0.1,
}  # E.7, what is kept, rho = .1 in 100 rounds


@pytest.mark.parametrize("sparsity", RST_ITER)
def test_the_cycles_of_rst_iter_are_those_of_the_table(sparsity):
    assert [round(float(cumulative_sparsity(sparsity, cycle, 5)), 4) for cycle in range(1, 6)] == list(
        RST_ITER[sparsity]
    )


def test_the_rounds_of_synflow_are_those_of_the_table():
    assert {k: round(1 - float(cumulative_sparsity(0.9, k, 100)), 4) for k in SYNFLOW} == SYNFLOW


@settings(max_examples=150, deadline=None)
@given(
    millionths=st.integers(0, 999_999) | st.integers(0, 99).map(lambda p: p * 10_000),
    cycles=st.integers(1, 12),
    size=st.integers(1, 10**7),
    data=st.data(),
)
def test_the_count_of_every_cycle_is_exact(millionths, cycles, size, data):
    """kept = floor(n q^(c/N)) is the largest k with k^N <= n^N q^c, in whole numbers."""
    cycle = data.draw(st.integers(0, cycles))
    kept = size - removed_count(size, cumulative_sparsity(Fraction(millionths, 10**6), cycle, cycles))
    density = Fraction(10**6 - millionths, 10**6) ** cycle
    assert kept == 1 or kept**cycles <= size**cycles * density
    assert (kept + 1) ** cycles > size**cycles * density


@pytest.mark.parametrize(
    ("sparsity", "cycle", "cycles", "ratio"),
    [
        ("0.271", 1, 3, "1/10"),
        (0.75, 1, 2, "1/2"),
        ("8/9", 1, 2, "2/3"),
        (0.36, 1, 2, "1/5"),
        (0.5, 5, 5, "1/2"),
        (0.9, 0, 7, "0"),
        (0, 2, 3, "0"),
    ],
)
def test_a_rational_ratio_is_exact(sparsity, cycle, cycles, ratio):
    assert cumulative_sparsity(sparsity, cycle, cycles) == Fraction(ratio)


def test_floats_would_drift():
    assert math.ceil((1 - (1 - 0.657) ** (1 / 3)) * 10) == 4
    assert removed_count(10, cumulative_sparsity(0.657, 1, 3)) == 3
    assert all(removed_count(512, cumulative_sparsity(0.5, n, n)) == 256 for n in range(1, 101))


@settings(max_examples=50, deadline=None)
@given(sparsity=st.integers(0, 999).map(lambda p: Fraction(p, 1000)), cycles=st.integers(1, 20))
def test_every_cycle_removes_more_than_the_one_before_and_the_last_all(sparsity, cycles):
    ratios = [cumulative_sparsity(sparsity, cycle, cycles) for cycle in range(cycles + 1)]
    assert ratios[0] == 0 and ratios[-1] == sparsity
    assert all(before < after for before, after in itertools.pairwise(ratios)) or not sparsity
    shares = [(after - before) / (1 - before) for before, after in itertools.pairwise(ratios)]
    assert float(max(shares)) == pytest.approx(float(min(shares)))


@pytest.mark.parametrize(
    ("cycle", "cycles", "sentence"), [(1, 0, "cycles=0: must be"), (4, 3, "cycle=4: must be"), (-1, 3, "cycle=-1")]
)
def test_cycles_that_there_are_not_are_refused(cycle, cycles, sentence):
    with pytest.raises(BadInput, match=sentence):
        cumulative_sparsity(0.5, cycle, cycles)
