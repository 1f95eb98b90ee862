"""Masks have settled once all of the last five are within a tenth of the newest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlth_tf.core import has_settled, mask_distance
from dlth_tf.errors import BadInput


def masks(*removed: int) -> dict[str, np.ndarray]:
    """Returns masks of 20 weights in two tensors, with these removed."""
    flat = ~np.isin(np.arange(20), removed)
    return {"a": flat[:8].reshape(2, 4), "b": flat[8:]}


def test_the_distance_is_the_share_of_places_that_differ_over_all_tensors():
    assert mask_distance(masks(), masks()) == 0
    assert mask_distance(masks(0), masks(0, 9)) == 1 / 20
    assert mask_distance(masks(0, 1), masks(2, 9)) == 4 / 20
    assert mask_distance(masks(*range(20)), masks()) == 1
    mean_over_tensors = np.mean([(masks(0)[name] != masks()[name]).mean() for name in "ab"])
    assert mask_distance(masks(0), masks()) != mean_over_tensors, "a small tensor does not count more"


def test_the_ticket_is_drawn_when_all_four_are_near_the_newest():
    near = [masks(0, 1), masks(0, 2), masks(0, 1), masks(0, 1)]
    newest = masks(0, 1)
    assert has_settled([*near, newest])
    assert has_settled([masks(5, 6, 7), *near, newest]), "older ones do not matter"
    assert not has_settled([*near[1:], newest]), "five epochs must have passed"
    assert not has_settled([])


def test_a_tenth_is_near_enough_and_more_is_not():
    assert has_settled([*[masks(0, 1)] * 4, masks(0, 1, 2, 3)])
    assert not has_settled([*[masks(0, 1)] * 4, masks(0, 1, 2, 3, 4)])
    assert has_settled([*[masks(0, 1)] * 4, masks(0, 1, 2, 3, 4)], threshold=0.15)


def test_neighbours_that_are_near_do_not_make_a_slow_drift_settle():
    drift = [masks(*range(2 * epoch)) for epoch in range(5)]
    assert all(mask_distance(one, other) <= 0.1 for one, other in itertools.pairwise(drift))
    assert not has_settled(drift)


def test_masks_of_different_networks_are_refused():
    with pytest.raises(BadInput, match="masks=a, b: must have the tensors and shapes"):
        mask_distance(masks(), {"a": masks()["a"]})
