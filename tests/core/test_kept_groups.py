"""How many groups stay where scores do not matter, and pattern maps on the way to their sparsities."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import PatternMap, parse_granularity
from dlth_tf.errors import BadInput
from tests.core.choices import choose_masks, kept_groups
from tests.core.networks import NETWORKS, drawn

SHAPES = {"conv/kernel": (3, 3, 8, 16), "fc/kernel": (16, 10)}


@settings(max_examples=60, deadline=None)
@given(
    shapes=NETWORKS,
    sparsity=st.integers(0, 80).map(lambda percent: percent / 100),
    allocation=st.sampled_from(["uniform", "erk", {"layer0": 0.5, "*": 0.25}]),
    granularity=st.sampled_from(["weight", "filter", "channel", "block:4x1"]),
)
def test_they_are_those_of_the_masks_that_any_scores_choose(shapes, sparsity, allocation, granularity):
    grain = parse_granularity(granularity)
    masks = choose_masks(drawn(shapes, 1), sparsity, allocation, granularity)
    kept = kept_groups(shapes, sparsity, allocation, granularity)
    assert kept == {name: int(mask.sum()) // grain.divide(mask.shape).weights for name, mask in masks.items()}


def test_transposed_kernels_have_their_outputs_first():
    shapes, layouts = {"up/kernel": (3, 3, 6, 8)}, {"up/kernel": "transposed"}
    assert kept_groups(shapes, 0.5, granularity="filter", layouts=layouts) == {"up/kernel": 3}
    assert kept_groups(shapes, 0.5, granularity="filter") == {"up/kernel": 4}, "without the layout there would be eight"


def test_a_share_of_the_sparsity_removes_that_share():
    assert kept_groups(SHAPES, 0.9, share=0) == {"conv/kernel": 1152, "fc/kernel": 160}
    assert kept_groups(SHAPES, 0.9, share=Fraction(1, 2)) == {"conv/kernel": 1152 - 519, "fc/kernel": 88}  # ceil(.45 n)
    assert kept_groups(SHAPES, 0.9, share=1) == kept_groups(SHAPES, 0.9) == {"conv/kernel": 115, "fc/kernel": 16}


@pytest.mark.parametrize("allocation", ["uniform", "erk", {"conv": 0.9, "fc": 0.3}], ids=str)
@pytest.mark.parametrize("granularity", ["weight", "filter"])
def test_counts_fall_as_the_share_grows(allocation, granularity):
    counts = [kept_groups(SHAPES, 0.8, allocation, granularity, share=share) for share in np.linspace(0, 1, 41)]
    for name in SHAPES:
        falling = [count[name] for count in counts]
        assert falling == sorted(falling, reverse=True) and falling[0] > falling[-1] > 0


def test_a_pattern_map_is_scaled_entry_by_entry():
    given_map = PatternMap.parse({"conv": 0.8, "fc": 0.1})
    half = given_map.scaled(Fraction(1, 2))
    assert half.sparsities == (("conv", Fraction(2, 5)), ("fc", Fraction(1, 20)))
    assert given_map.scaled(Fraction(1)) == given_map and given_map.scaled(Fraction(0)).sparsity_of("conv/kernel") == 0
    assert (
        half(SHAPES)
        == kept_groups(SHAPES, 0.5, {"conv": 0.8, "fc": 0.1}, share=Fraction(1, 2))
        == {"conv/kernel": 691, "fc/kernel": 152}
    )
    assert half != given_map.after(1, 2), "the share is of the sparsity, not of the cycles"


def test_a_global_allocation_has_no_counts_beforehand():
    with pytest.raises(BadInput, match="allocation=global: needs a score for every weight"):
        kept_groups(SHAPES, 0.5, "global")


def test_what_does_not_fit_is_refused():
    with pytest.raises(BadInput, match="granularity=block:3x1: does not fit conv/kernel"):
        kept_groups(SHAPES, 0.5, granularity="block:3x1")
    with pytest.raises(BadInput, match=r"sparsity=1\.0"):
        kept_groups(SHAPES, 1.0)
