"""Exact top-k masks: the count is exact whatever the scores are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlth_tf.core import top_k_mask

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, max_side=5)
FEW_VALUES = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0, np.inf, -np.inf])


def by_hand(scores: np.ndarray, kept: int) -> list[bool]:
    """Removes the lowest score again and again, of equal scores the first."""
    flat = [(score, index) for index, score in enumerate(scores.ravel().tolist())]
    stays = {index for _, index in sorted(flat)[len(flat) - kept :]}
    return [index in stays for index in range(len(flat))]


def by_threshold(scores: np.ndarray, kept: int) -> np.ndarray:
    """Keeps everything at or above the threshold: not the same, since all ties at the threshold stay."""
    return scores >= np.sort(scores, axis=None)[scores.size - kept] if kept else np.zeros(scores.shape, bool)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_count_is_exact_for_any_scores(data):
    dtype = data.draw(st.sampled_from(["float32", "float64", "int32"]))
    elements = st.integers(-2, 2) if dtype == "int32" else FEW_VALUES | st.floats(allow_nan=False, width=32)
    scores = data.draw(hnp.arrays(dtype, SHAPES, elements=elements))
    kept = data.draw(st.integers(0, scores.size))
    mask = top_k_mask(scores, kept)
    assert mask.dtype == bool and mask.shape == scores.shape and mask.sum() == kept
    assert mask.ravel().tolist() == by_hand(scores, kept)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, np.inf, -np.inf])
@pytest.mark.parametrize("kept", range(7))
def test_equal_scores_go_by_position(value, kept):
    assert top_k_mask(np.full((2, 3), value), kept).ravel().tolist() == [False] * (6 - kept) + [True] * kept


def test_a_threshold_would_not_be_exact():
    assert by_threshold(np.zeros(6), 2).sum() != 2
    assert top_k_mask(np.zeros(6), 2).sum() == 2


def test_memory_order_does_not_matter():
    scores = np.arange(12.0).reshape(3, 4) % 5
    assert np.array_equal(top_k_mask(scores, 7), top_k_mask(np.asfortranarray(scores), 7))


def test_scores_are_left_alone():
    scores = np.array([3.0, 1.0, 2.0])
    top_k_mask(scores, 1)
    assert scores.tolist() == [3.0, 1.0, 2.0]


def test_keeping_more_keeps_the_same_and_others():
    scores = np.random.default_rng(0).integers(0, 4, 40)
    masks = [top_k_mask(scores, kept) for kept in range(41)]
    assert all((few <= more).all() for few, more in itertools.pairwise(masks))


@pytest.mark.parametrize("kept", [-1, 7, 10**12])
def test_a_count_out_of_range_is_refused(kept):
    with pytest.raises(ValueError, match=f"kept={kept}: must be a whole number from 0 to 6"):
        top_k_mask(np.zeros((2, 3)), kept)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_only_free_places_are_kept(data):
    scores = data.draw(hnp.arrays("float32", SHAPES, elements=FEW_VALUES))
    free = data.draw(hnp.arrays(bool, scores.shape))
    kept = data.draw(st.integers(0, int(free.sum())))
    mask = top_k_mask(scores, kept, free)
    assert mask.dtype == bool and mask.shape == scores.shape and mask.sum() == kept and not (mask & ~free).any()
    assert mask[free].tolist() == by_hand(scores[free], kept)


def test_minus_infinity_for_what_is_not_free_would_not_do():
    scores = np.array([-np.inf, -np.inf, 1.0])
    free = np.array([True, False, True])
    assert top_k_mask(scores, 2, free).tolist() == [True, False, True]
    assert top_k_mask(np.where(free, scores, -np.inf), 2).tolist() == [False, True, True]


def test_more_than_is_free_is_refused():
    with pytest.raises(ValueError, match="kept=2: must be a whole number from 0 to 1"):
        top_k_mask(np.zeros(3), 2, np.array([True, False, False]))
