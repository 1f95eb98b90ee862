"""Mask arithmetic against the NumPy oracles, on TensorFlow's operations and on NumPy's under the same names."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlth_tf.core import parse_granularity, top_k_mask
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2 import ops as tensorflow_ops
from dlth_tf.masking.mask_arithmetic import drop_and_grow, largest, top_k
from dlth_tf.masking.prunable import PrunableWeight
from tests.core import regrowth_oracle

SHAPE = (4, 6)
GRANULARITIES = ["weight", "filter", "channel", "block:2x2"]
FEW = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])  # many ties, and exact means over groups in any order of summation


def inverse_permutation(permutation: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation))
    return inverse


def segment_sum(values: np.ndarray, segments: np.ndarray, number: int) -> np.ndarray:
    sums = np.zeros(number, values.dtype)
    np.add.at(sums, segments, values)
    return sums


NUMPY = types.SimpleNamespace(
    abs=np.abs,
    argsort=lambda values: np.argsort(values, kind="stable"),
    cast=lambda values, dtype: np.asarray(values).astype(dtype),
    constant=np.asarray,
    inverse_permutation=inverse_permutation,
    reshape=np.reshape,
    segment_sum=segment_sum,
    size=np.size,
    take=np.take,
    where=np.where,
)
BACKENDS = {"tensorflow": tensorflow_ops, "numpy": NUMPY}
backends = pytest.mark.parametrize("ops", BACKENDS.values(), ids=BACKENDS)


def groups_of(granularity: str, ops: Any) -> GraphGroups:
    """Returns the groups of a kernel without a layer and without variables."""
    return GraphGroups(
        PrunableWeight("fc/kernel", None, np.zeros(SHAPE), None, None), parse_granularity(granularity), ops
    )


def read_only(array: np.ndarray) -> np.ndarray:
    """Returns a copy that raises ValueError if anything assigns to it."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy


@backends
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_highest_are_those_of_core_whatever_is_equal(ops, data):
    scores = data.draw(hnp.arrays("float32", st.integers(1, 12), elements=FEW | st.just(-np.inf)))
    kept = data.draw(st.integers(0, scores.size))
    assert np.array_equal(top_k(ops, read_only(scores), kept), top_k_mask(scores, kept))


@backends
def test_of_equal_scores_the_later_stay(ops):
    assert np.asarray(top_k(ops, np.array([0.5, 0.5, 0.5]), 2)).tolist() == [False, True, True]


def test_another_order_of_ties_would_be_seen():
    def later_first(values: np.ndarray) -> np.ndarray:
        return len(values) - 1 - np.argsort(values[::-1], kind="stable")

    twin = types.SimpleNamespace(**{**vars(NUMPY), "argsort": later_first})
    assert top_k(NUMPY, np.zeros(3), 1).tolist() == top_k_mask(np.zeros(3), 1).tolist() == [False, False, True]
    assert top_k(twin, np.zeros(3), 1).tolist() == [True, False, False]


@backends
@pytest.mark.parametrize("granularity", GRANULARITIES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_largest_keeps_the_groups_of_largest_mean_magnitude(ops, granularity, data):
    parsed = parse_granularity(granularity)
    weight = data.draw(hnp.arrays("float32", SHAPE, elements=FEW))
    groups = groups_of(granularity, ops)
    kept = data.draw(st.integers(0, groups.count))
    expected = parsed.expand(top_k_mask(parsed.pool(np.abs(weight)), kept), SHAPE)
    assert np.array_equal(largest(groups, read_only(weight), kept), expected)


@backends
@pytest.mark.parametrize("granularity", GRANULARITIES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_drop_and_grow_is_the_oracle_on_pooled_arrays(ops, granularity, data):
    parsed = parse_granularity(granularity)
    weight = data.draw(hnp.arrays("float32", SHAPE, elements=FEW))
    groups = groups_of(granularity, ops)
    pooled = parsed.pool(np.abs(weight))
    active = data.draw(hnp.arrays(bool, pooled.shape))
    growth = data.draw(hnp.arrays("float32", pooled.shape, elements=FEW))
    exchanged = data.draw(st.integers(0, int(active.sum())))

    inputs = {
        "weight": read_only(weight),
        "mask": read_only(parsed.expand(active, SHAPE).astype("float32")),
        "growth": read_only(growth.ravel()),
    }
    before = {name: array.tobytes() for name, array in inputs.items()}
    result = drop_and_grow(groups, **inputs, counts=(int(active.sum()), exchanged))

    expected = regrowth_oracle.drop_and_grow(pooled, active, growth, exchanged)
    assert np.array_equal(result.mask, parsed.expand(expected, SHAPE))
    assert np.array_equal(result.fresh, parsed.expand(expected & ~active, SHAPE))
    assert {name: array.tobytes() for name, array in inputs.items()} == before, "the inputs are only read"


def test_other_growth_scores_grow_other_groups():
    weight = np.ones(SHAPE, "float32")
    mask = (np.arange(24).reshape(SHAPE) < 12).astype("float32")
    rising = np.arange(24, dtype="float32")
    results = [drop_and_grow(groups_of("weight", NUMPY), weight, mask, growth, (12, 3)) for growth in (rising, -rising)]
    assert np.flatnonzero(results[0].fresh).tolist() == [21, 22, 23]
    assert not results[1].fresh.any(), "the dropped groups return"


def test_variables_are_not_assigned():
    weight = tf.Variable(np.linspace(-1, 1, 24, dtype="float32").reshape(SHAPE))
    mask = tf.Variable((np.arange(24).reshape(SHAPE) % 2).astype("float32"))
    before = weight.numpy().tobytes(), mask.numpy().tobytes()
    result = drop_and_grow(groups_of("weight", tensorflow_ops), weight, mask, tf.range(24.0), (12, 5))
    assert (weight.numpy().tobytes(), mask.numpy().tobytes()) == before
    assert not np.array_equal(result.mask, mask != 0), "the twin: the exchange is in the result alone"
