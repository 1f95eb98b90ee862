"""Allocations: under every rule the counts are whole and possible and, where promised, exact in total."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import ALLOCATIONS, PatternMap, erk, global_threshold, parse_allocation, removed_count, uniform
from dlth_tf.errors import BadInput
from tests.core.networks import RESNET56, drawn

SIDES = st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.tuples(st.just(3), st.integers(1, 6), st.integers(1, 6))
SHAPES = st.lists(SIDES, min_size=1, max_size=6).map(
    lambda shapes: {f"layer{i}/kernel": shape for i, shape in enumerate(shapes)}
)
SPARSITIES = st.integers(0, 999).map(lambda thousandths: Fraction(thousandths, 1000))


def size(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


@pytest.mark.parametrize(
    ("sparsity", "removed"), [(0, 0), (0.5, 423_936), (0.7, 593_532), (0.9, 763_110), (0.95, 805_500), (0.98, 830_927)]
)
def test_resnet_56_loses_the_published_number_of_weights(sparsity, removed):
    kept = uniform(RESNET56, sparsity)
    assert size(RESNET56) == 847_872
    assert kept.keys() == RESNET56.keys()
    assert 847_872 - sum(kept.values()) == removed


def test_uniform_treats_every_tensor_by_itself():
    assert uniform({"a": (10,), "b": (3, 1), "c": (), "d": (0, 4)}, 0.5) == {"a": 5, "b": 1, "c": 1, "d": 0}
    assert uniform({}, 0.5) == {}


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("sparsity", [0, 0.3, "0.98", Fraction(1, 3)])
def test_every_allocation_keeps_at_least_one_weight_and_at_most_all(allocation, sparsity):
    kept = ALLOCATIONS[allocation](RESNET56, sparsity, drawn(RESNET56, 0))
    assert kept.keys() == RESNET56.keys()
    assert all(1 <= kept[name] <= math.prod(shape) and type(kept[name]) is int for name, shape in RESNET56.items())


@settings(max_examples=150, deadline=None)
@given(
    allocation=st.sampled_from([erk, global_threshold]),
    shapes=SHAPES,
    sparsity=SPARSITIES,
    seed=st.integers(0, 99),
    levels=st.integers(0, 3),
)
def test_the_total_is_exact_and_no_tensor_is_overfull_or_empty(allocation, shapes, sparsity, seed, levels):
    total = size(shapes)
    if total - removed_count(total, sparsity) < len(shapes):
        with pytest.raises(
            BadInput, match=f"sparsity={float(sparsity):g}: leaves .* fewer than one group of each of layer0/kernel"
        ):
            allocation(shapes, sparsity, drawn(shapes, seed, levels))
        return
    kept = allocation(shapes, sparsity, drawn(shapes, seed, levels))
    assert total - sum(kept.values()) == removed_count(total, sparsity)
    assert all(1 <= kept[name] <= math.prod(shape) for name, shape in shapes.items())


def test_the_total_of_uniform_is_not_that_of_the_network():
    shapes = {"a/kernel": (3, 1), "b/kernel": (3, 1)}
    assert sum(uniform(shapes, 0.5).values()) == 2 != sum(erk(shapes, 0.5).values()) == 3


@settings(max_examples=50, deadline=None)
@given(shapes=SHAPES, few=SPARSITIES, more=SPARSITIES, seed=st.integers(0, 99))
def test_a_higher_global_sparsity_never_keeps_more_of_any_tensor(shapes, few, more, seed):
    scores = drawn(shapes, seed, 3)
    few, more = sorted((few, more))
    try:
        fewer = global_threshold(shapes, more, scores)
    except BadInput:
        return
    assert all(fewer[name] <= count for name, count in global_threshold(shapes, few, scores).items())


def test_a_name_or_a_map_means_an_allocation():
    assert [parse_allocation(name) for name in ALLOCATIONS] == [uniform, erk, global_threshold]
    assert parse_allocation(erk) is erk
    assert parse_allocation(' {"*": 0.5}') == parse_allocation({"*": 0.5}) == PatternMap((("*", Fraction(1, 2)),))


@pytest.mark.parametrize("allocation", ["fair", "", "Uniform", None, 3, "uniform,erk"])
def test_another_name_is_refused_with_those_there_are(allocation):
    with pytest.raises(BadInput) as refused:
        parse_allocation(allocation)
    assert str(refused.value) == (
        f"allocation={allocation}: must be one of uniform, erk, global, or a map such as "
        + '{"stage1*": 0.5, "*": 0.98}'
    )


def test_global_without_scores_is_refused():
    with pytest.raises(BadInput, match="allocation=global: needs a score for every weight"):
        global_threshold(RESNET56, 0.5)


def test_scores_are_only_read():
    scores = {"a": np.array([3.0, 1.0, 2.0])}
    for allocation in ALLOCATIONS.values():
        allocation({"a": (3,)}, 0.5, scores)
    assert scores["a"].tolist() == [3.0, 1.0, 2.0]
