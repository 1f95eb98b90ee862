"""Runs at chance accuracy."""

from __future__ import annotations

import pytest

from dlth_tf.analysis.chance import is_at_chance, seeds_at_chance
from dlth_tf.errors import BadInput


@pytest.mark.parametrize(
    ("accuracy", "classes", "images", "at_chance"),
    [
        (0.1, 10, 10_000, True),
        (0.105, 10, 10_000, True),  # 1.67 standard errors of a guess above it
        (0.107, 10, 10_000, False),  # 2.33
        (0.107, 10, 500, True),
        (0.093, 10, 10_000, False),  # worse than a guess
        (0.5, 2, 100, True),
        (1.0, 1, 100, True),
        (1.0, 10, 2**63 - 1, False),
    ],
)
def test_wilson_s_interval_decides(accuracy: float, classes: int, images: int, at_chance: bool) -> None:
    assert is_at_chance(accuracy, classes, images) is at_chance


def test_seeds_are_in_order_and_unknown_without_a_size() -> None:
    accuracies = {7: 0.1, 1: 0.11, 3: 0.9}
    assert seeds_at_chance(accuracies, 10, 500) == (1, 7)
    assert seeds_at_chance({3: 0.9}, 10, 500) == ()
    assert seeds_at_chance(accuracies, None, 500) is seeds_at_chance(accuracies, 10, None) is None


@pytest.mark.parametrize(("name", "value"), [("accuracy", 1.5), ("classes", 0), ("images", 0)])
def test_a_value_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"^{name}="):
        is_at_chance(**{"accuracy": 0.5, "classes": 10, "images": 100, name: value})
