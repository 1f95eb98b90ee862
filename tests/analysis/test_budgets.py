"""Budgets in words."""

from __future__ import annotations

import pytest

from dlth_tf.analysis.budgets import is_equal_budget, ratio


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (1000.0, "equal budget"),
        (1010.0, "equal budget"),
        (1011.0, "1.01 times as many"),
        (500.0, "0.5 times as many"),
        (0.0, "0 times as many"),
    ],
)
def test_images_are_relative_to_those_of_the_transformed_ticket(others: float, words: str) -> None:
    assert ratio(1000.0, others) == words and is_equal_budget(others, 1000.0) is (words == "equal budget")


def test_a_run_without_images_has_no_ratio() -> None:
    assert ratio(0.0, 0.0) == "equal budget" and ratio(0.0, 5.0) == "not comparable"
