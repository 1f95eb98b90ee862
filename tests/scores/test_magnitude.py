"""Magnitude scores: the absolute values of the weights."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.core import top_k_mask
from dlth_tf.scores import magnitude


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_score_is_the_absolute_value_in_the_weights_dtype(dtype):
    weights = {"a": np.array([[-2, 0.5], [0, 1]], dtype), "b": np.array(-3, dtype)}
    scores = magnitude(weights)
    assert {name: score.tolist() for name, score in scores.items()} == {"a": [[2, 0.5], [0, 1]], "b": 3}
    assert all(
        scores[name].dtype == dtype and np.shape(scores[name]) == weight.shape for name, weight in weights.items()
    )


def test_keeping_the_highest_removes_the_smallest_weights_of_either_sign():
    weights = {"a": np.array([0.1, -0.4, 0.2, -0.05, 0.3])}
    assert top_k_mask(magnitude(weights)["a"], 2).tolist() == [False, True, False, False, True]
    assert top_k_mask(weights["a"], 2).tolist() != [False, True, False, False, True], (
        "signed weights would choose others"
    )


def test_the_weights_are_left_alone():
    weights = {"a": np.array([-1.0, 2.0])}
    magnitude(weights)["a"][:] = 0
    assert weights["a"].tolist() == [-1.0, 2.0]


def test_no_weights_have_no_scores():
    assert magnitude({}) == {}
