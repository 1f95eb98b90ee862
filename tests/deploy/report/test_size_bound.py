"""The bound on the bytes of a sparse network."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from dlth_tf.deploy.report import size_bound
from dlth_tf.deploy.report.size_bound import Size, size_of


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(1000, 0, 10), 4040),  # nothing removed: four bytes per weight
        (Size(1000, 1000, 0), 0),
        (Size(800, 400, 0), 100 + 1600),  # one bit per weight for the mask
        (Size(0, 0, 7), 28),
        (Size(266_200, 252_890, 410), math.ceil(266_200 * (0.286397 + 0.05 * 32) / 8 + 1640)),
    ],
)
def test_the_formula(size, expected):
    assert abs(size.bound - expected) <= 1


def test_its_example_is_true():
    result = doctest.testmod(size_bound)
    assert result.failed == 0 and result.attempted == 1


def test_the_ticket_says_what_is_prunable_and_without_one_the_zeros_do():
    weights = {"a/kernel": np.array([[1.0, 0], [0, 0]]), "b/kernel": np.ones((2, 3)), "a/bias": np.zeros(2)}
    assert size_of(weights, {"a/kernel": weights["a/kernel"] != 0, "b/kernel": np.ones((2, 3), bool)}) == Size(10, 3, 2)
    assert size_of(weights, None) == Size(4, 3, 8)
    assert size_of({"a/bias": np.zeros(2)}, None) == Size(0, 0, 2)
