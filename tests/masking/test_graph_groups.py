"""Groups inside the graph: the same as core's in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dlth_tf as dlth
from dlth_tf import BadInput, Ticket, masking
from dlth_tf.core import parse_granularity, top_k_mask
from dlth_tf.core.pruning_spec import exchangeable
from dlth_tf.masking.keras2 import ops
from dlth_tf.masking.mask_arithmetic import top_k
from tests.masking.networks import graph_groups

L = tf_keras.layers


def entry(layer: tf_keras.layers.Layer, shape: tuple[int, ...]) -> masking.PrunableWeight:
    inputs = L.Input(shape)
    return next(iter(masking.prunable_weights(dlth.wrap(tf_keras.Model(inputs, layer(inputs)))).values()))


LAYERS = {
    "dense": lambda: entry(L.Dense(6, name="a"), (8,)),
    "conv": lambda: entry(L.Conv2D(6, 3, name="a"), (5, 5, 8)),
    "transposed": lambda: entry(L.Conv2DTranspose(8, 3, name="a"), (5, 5, 6)),
    "conv1d": lambda: entry(L.Conv1D(6, 3, name="a"), (5, 8)),
}


@pytest.mark.parametrize("granularity", ["weight", "filter", "channel", "block:2x1", "block:2x2"])
@pytest.mark.parametrize("name", LAYERS)
def test_pooling_and_spreading_are_those_of_core(name, granularity):
    one, grain = LAYERS[name](), parse_granularity(granularity)
    groups, values = graph_groups(one, granularity), np.random.default_rng(0).normal(size=one.shape)
    pooled = grain.pool(values, one.layout)
    assert (groups.count, groups.weights) == (pooled.size, values.size // pooled.size)
    np.testing.assert_allclose(groups.pool(tf.constant(values)), pooled.ravel(), rtol=0, atol=1e-15)
    mask = pooled > 0
    np.testing.assert_array_equal(groups.spread(tf.constant(mask.ravel())), grain.expand(mask, one.shape, one.layout))
    assert granularity == "weight" or not np.allclose(groups.pool(tf.constant(np.roll(values, 1))), pooled.ravel()), (
        "the twin"
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_highest_are_those_of_core_whatever_is_equal(data):
    few = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0])
    scores = data.draw(hnp.arrays("float32", st.integers(1, 12), elements=few))
    kept = data.draw(st.integers(0, scores.size))
    assert top_k(ops, tf.constant(scores), kept).numpy().tolist() == top_k_mask(scores, kept).tolist()


def test_of_equal_scores_the_later_stay():
    assert top_k(ops, tf.constant([0.5, 0.5, 0.5]), 2).numpy().tolist() == [False, True, True]


def test_how_many_groups_a_mask_keeps():
    one, mask = LAYERS["dense"](), np.zeros((8, 6), bool)
    mask[:, [1, 4]] = True
    one.mask.assign(mask)
    assert (
        graph_groups(one, "filter").kept(one),
        graph_groups(one, "weight").kept(one),
        graph_groups(one, "block:2x1").kept(one),
    ) == (2, 16, 8)
    with pytest.raises(
        BadInput, match="granularity=channel: does not fit a/kernel, whose mask keeps parts of such groups"
    ):
        graph_groups(one, "channel").kept(one)


@pytest.mark.parametrize(
    ("granularity", "sentence"),
    [
        (
            "block:3x1",
            "granularity=block:3x1: does not fit a/kernel, whose number of inputs, 8, is not a multiple of 3",
        ),
        ("rows", "granularity=rows: must be one of weight"),
    ],
)
def test_what_cannot_come_and_go_is_refused(granularity, sentence):
    with pytest.raises(BadInput, match=sentence):
        graph_groups(LAYERS["dense"](), granularity)


def test_n_of_m_is_refused_where_groups_are_exchanged():
    with pytest.raises(
        BadInput, match="granularity=2:4: cannot be combined with RigL, whose masks change during training"
    ):
        exchangeable("2:4", "RigL")
    assert exchangeable("block:4x1", "RigL").text == "block:4x1"


def test_a_ticket_of_groups_is_a_mask_of_such_groups():
    one = LAYERS["conv"]()
    found = Ticket.from_masks({"a/kernel": np.broadcast_to(np.arange(6) < 3, one.shape)})
    one.mask.assign(found["a/kernel"])
    assert graph_groups(one, "filter").kept(one) == 3
