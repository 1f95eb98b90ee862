"""Scores, earlier masks and sparsities that `choose_masks` refuses."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.core import ALLOCATIONS
from dlth_tf.errors import BadInput
from tests.core.choices import choose_masks
from tests.core.networks import drawn


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_what_was_removed_cannot_come_back(allocation):
    within = {"a": np.arange(8) < 2}
    with pytest.raises(BadInput, match=r"^sparsity=0.5: .* have not been removed yet$"):
        choose_masks({"a": np.arange(8.0)}, 0.5, allocation, within=within)


def test_a_map_that_leaves_more_than_an_earlier_mask_is_named():
    with pytest.raises(
        BadInput, match=r"^allocation=.*: keeps 4 of the 8 groups of a, but only 2 of them have not been"
    ):
        choose_masks({"a": np.arange(8.0)}, 0.9, {"a": 0.5}, within={"a": np.arange(8) < 2})
    masks = choose_masks({"a": np.arange(8.0)}, 0.9, {"a": 0.75}, within={"a": np.arange(8) < 2})
    np.testing.assert_array_equal(masks["a"], np.arange(8) < 2)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_scores_that_are_no_numbers_are_refused(allocation):
    with pytest.raises(BadInput, match="scores=b: contains NaN"):
        choose_masks({"a": np.arange(4.0), "b": np.array([1.0, np.nan, 2.0, 3.0])}, 0.5, allocation)


def test_an_earlier_mask_of_another_shape_is_refused():
    with pytest.raises(BadInput, match=r"within=a: its mask has shape \[3\], the tensor \[4\]"):
        choose_masks({"a": np.arange(4.0)}, 0.5, within={"a": np.ones(3)})


def test_a_sparsity_that_would_empty_a_tensor_is_refused_with_what_is_possible():
    scored = drawn({"a/kernel": (10, 10), "b/kernel": (10, 10)}, 0)
    with pytest.raises(
        BadInput,
        match=r"leaves 10 of 200 weights, fewer than one group of each of a/kernel, b/kernel \(20\): at most 0.9",
    ):
        choose_masks(scored, 0.95, "erk", "filter")
    assert sum(int(mask.sum()) for mask in choose_masks(scored, 0.95, "uniform", "filter").values()) == 20, (
        "uniform keeps one of each"
    )
