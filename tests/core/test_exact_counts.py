"""Exact counts: a sparsity p removes min(ceil(p * n), n - 1) of n weights, to the last weight."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import removed_count
from dlth_tf.errors import BadInput

HUNDREDTHS = [f"0.{i:02d}" for i in range(100)]


@st.composite
def typed_decimals(draw) -> tuple[str, int, int]:
    """Draws a sparsity as text, with its numerator and denominator."""
    digits = draw(st.integers(1, 15))
    numerator = draw(st.integers(0, 10**digits - 1))
    return f"0.{numerator:0{digits}d}", numerator, 10**digits


def wrong_counts(rule) -> list[tuple[str, int]]:
    """Returns the cases in which `rule` does not remove the smallest sufficient number of weights, or leaves none."""
    cases = ((text, size) for text in HUNDREDTHS for size in range(1, 301))
    return [
        (text, size)
        for text, size in cases
        if rule(size, float(text)) != min(-(-int(text[2:]) * size // 100), size - 1)
    ]


@settings(max_examples=300, deadline=None)
@given(typed=typed_decimals(), size=st.integers(1, 10**9))
def test_the_count_is_exact_for_any_size_and_any_typed_decimal(typed, size):
    text, numerator, denominator = typed
    expected = min(-(-numerator * size // denominator), size - 1)
    assert removed_count(size, text) == removed_count(size, Fraction(numerator, denominator)) == expected
    assert removed_count(size, float(text)) == expected
    assert expected == min(math.ceil(Decimal(text) * size), size - 1)


def test_no_count_of_two_typed_digits_is_wrong():
    assert wrong_counts(removed_count) == []


@pytest.mark.parametrize(
    "rule",
    [
        lambda size, p: min(math.ceil(p * size), size - 1),
        lambda size, p: min(math.ceil(Fraction(p) * size), size - 1),
        lambda size, p: min(round(p * size), size - 1),
        lambda size, p: min(int(p * size), size - 1),
        lambda size, p: math.ceil(Fraction(str(p)) * size),
    ],
    ids=["float product", "exact value of the float", "rounded", "floor", "all may go"],
)
def test_another_rule_would_be_seen(rule):
    assert wrong_counts(rule)


@pytest.mark.parametrize(
    ("size", "sparsity", "removed"),
    [
        (512, 0.5, 256),
        (30, 0.1, 3),
        (100, 0.07, 7),
        (100, 0.29, 29),
        (10, 0.98, 9),
        (7, 0, 0),
        (7, "0.", 0),
        (1, 0.5, 0),
        (0, 0.5, 0),
    ],
)
def test_counts_that_a_hand_can_check(size, sparsity, removed):
    assert removed_count(size, sparsity) == removed


def test_half_is_half_however_many_cycles_led_there():
    assert (
        removed_count(512, Fraction(1) - Fraction(1, 2)) == removed_count(512, ".5") == removed_count(512, "1/2") == 256
    )


@settings(max_examples=100, deadline=None)
@given(sizes=st.integers(1, 10**6), few=st.fractions(0, Fraction(999, 1000)), more=st.fractions(0, Fraction(999, 1000)))
def test_a_higher_sparsity_never_removes_fewer(sizes, few, more):
    low, high = sorted((few, more))
    assert removed_count(sizes, low) <= removed_count(sizes, high) < sizes


@pytest.mark.parametrize(
    "sparsity",
    [
        1.0,
        1,
        -0.1,
        -1e-12,
        "abc",
        "",
        "1/0",
        float("nan"),
        float("inf"),
        -float("inf"),
        None,
        True,
        "1e400",
        Fraction(1),
    ],
)
def test_an_impossible_sparsity_is_refused_in_one_sentence_that_names_it(sparsity):
    with pytest.raises(BadInput) as refused:
        removed_count(10, sparsity)
    assert str(refused.value).startswith(f"sparsity={sparsity}: must be ")
    assert "at least 0 and below 1" in str(refused.value)


@pytest.mark.parametrize("sparsity", ["1e-999999999", "1e999999999", "0." + "1" * 10_000])
def test_a_number_too_long_to_be_meant_is_refused_at_once(sparsity):
    start = time.perf_counter()
    with pytest.raises(BadInput):
        removed_count(10, sparsity)
    assert time.perf_counter() - start < 1
