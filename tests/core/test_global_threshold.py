"""One threshold for the whole network: as if all tensors were one, except that none is emptied."""

from __future__ import annotations

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import global_threshold, top_k_mask
from dlth_tf.core.groups import Groups
from tests.core.choices import choose_masks
from tests.core.networks import NETWORKS, drawn


def best_of_all(scores: dict[str, np.ndarray], kept: int) -> float:
    """Returns the largest sum of scores of `kept` weights, at least one of every tensor, by trying every choice."""
    places = [(name, index) for name, score in scores.items() for index in range(score.size)]
    choices = (choice for choice in itertools.combinations(places, kept) if {name for name, _ in choice} == set(scores))
    return max(sum(float(scores[name][index]) for name, index in choice) for choice in choices)


@settings(max_examples=60, deadline=None)
@given(
    shapes=NETWORKS, seed=st.integers(0, 999), levels=st.integers(0, 3), sparsity=st.sampled_from(["0.1", "0.5", "0.8"])
)
def test_it_chooses_as_if_all_tensors_were_one(shapes, seed, levels, sparsity):
    scores = drawn(shapes, seed, levels)
    masks = choose_masks(scores, sparsity, "global")
    together = top_k_mask(
        np.concatenate([score.ravel() for score in scores.values()]), sum(int(mask.sum()) for mask in masks.values())
    )
    if all(part.any() for part in np.split(together, np.cumsum([score.size for score in scores.values()])[:-1])):
        assert np.array_equal(np.concatenate([mask.ravel() for mask in masks.values()]), together)


def test_equal_scores_go_by_tensor_and_then_by_place():
    masks = choose_masks({"a": np.zeros((2, 2)), "b": np.zeros(3)}, "2/7", "global")
    assert masks["a"].tolist() == [[False, False], [True, True]] and masks["b"].all()
    masks = choose_masks({"b": np.zeros(3), "a": np.zeros((2, 2))}, "2/7", "global")
    assert masks["b"].tolist() == [False, False, True] and masks["a"].all(), "the order of the tensors decides"


@pytest.mark.parametrize("dtypes", [("bfloat16", "bfloat16"), ("bfloat16", "float16"), ("float32", "bfloat16")])
@pytest.mark.parametrize("granularity", ["weight", "filter"])
def test_scores_of_any_floating_dtype_are_compared(dtypes, granularity):
    values = drawn({"a": (4, 6), "b": (6, 8)}, 3, 0)
    scores = {name: values[name].astype(ml_dtypes.finfo(dtype).dtype) for name, dtype in zip("ab", dtypes, strict=True)}
    exact = {name: score.astype(np.float64) for name, score in scores.items()}
    found = choose_masks(scores, 0.5, "global", granularity)
    for name, mask in choose_masks(exact, 0.5, "global", granularity).items():
        assert np.array_equal(found[name], mask), name


def test_a_tensor_that_would_collapse_keeps_its_best_and_the_total_stays_exact():
    scores = {"low": np.array([0.1, 0.3, 0.2]), "high": np.array([5.0, 9.0, 7.0, 8.0, 6.0])}
    masks = choose_masks(scores, 0.5, "global")
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "low": [False, True, False],
        "high": [False, True, True, True, False],
    }
    together = top_k_mask(np.concatenate(list(scores.values())), 4)
    assert not together[:3].any(), "one threshold alone would have emptied it"


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    seed=st.integers(0, 999),
    levels=st.sampled_from([0, 2, 30]),
    data=st.data(),
)
def test_no_other_choice_with_one_of_every_tensor_scores_higher(sizes, seed, levels, data):
    scores = drawn({f"t{i}": (size,) for i, size in enumerate(sizes)}, seed, levels)
    scores["t0"] = scores["t0"] - 10  # often emptied
    kept = data.draw(st.integers(len(sizes), sum(sizes)))
    masks = choose_masks(scores, f"{sum(sizes) - kept}/{sum(sizes)}", "global")
    assert sum(int(mask.sum()) for mask in masks.values()) == kept and all(mask.any() for mask in masks.values())
    assert math.isclose(
        sum(float(scores[name][mask].sum()) for name, mask in masks.items()), best_of_all(scores, kept), rel_tol=1e-6
    )


def test_groups_of_different_sizes_share_a_budget_of_weights():
    """9 of 18 weights stay: in order of score b's 4, a's 2 and a's 2; the next 4 would make 12."""
    groups = {"a": Groups((2, 3), 3, 2, 3, (3,)), "b": Groups((4, 3), 3, 4, 3, (3,))}
    scores = {"a": np.array([6.0, 7.0, 1.0]), "b": np.array([2.0, 9.0, 5.0])}
    assert global_threshold(groups, 0.5, scores) == {"a": 2, "b": 1}
    assert global_threshold(groups, 0, scores) == {"a": 3, "b": 3}
    assert global_threshold(groups, "4/18", scores) == {"a": 2, "b": 2}, (
        "14 weights: 4 + 2 + 2 + 4, and 2 are not enough for 4"
    )


def test_collapse_is_prevented_for_groups_of_different_sizes_too():
    groups = {"a": Groups((2, 3), 3, 2, 3, (3,)), "b": Groups((4, 3), 3, 4, 3, (3,))}
    assert global_threshold(groups, 0.5, {"a": np.array([0.1, 0.3, 0.2]), "b": np.array([7.0, 9.0, 8.0])}) == {
        "a": 1,
        "b": 1,
    }


def test_scores_of_different_dtypes_are_compared_by_value():
    scores = {"a": np.array([1, 4], "float16"), "b": np.array([2, 3], "float64"), "c": np.array([5, 0], "int32")}
    assert global_threshold(dict.fromkeys(scores, (2,)), 0.5, scores) == {"a": 1, "b": 1, "c": 1}
