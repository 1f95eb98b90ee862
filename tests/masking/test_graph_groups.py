"""Groups inside the graph: the same as those of the core in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, Ticket, masking
from dlth_tf.core import parse_granularity
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
    one = LAYERS[name]()
    parsed = parse_granularity(granularity)
    groups = graph_groups(one, granularity)
    values = np.random.default_rng(0).normal(size=one.shape)
    pooled = parsed.pool(values, one.layout)
    assert (groups.count, groups.weights) == (pooled.size, values.size // pooled.size)
    np.testing.assert_allclose(groups.pool(tf.constant(values)), pooled.ravel(), rtol=0, atol=1e-15)
    mask = pooled > 0
    np.testing.assert_array_equal(groups.spread(tf.constant(mask.ravel())), parsed.expand(mask, one.shape, one.layout))
    assert granularity == "weight" or not np.allclose(groups.pool(tf.constant(np.roll(values, 1))), pooled.ravel()), (
        "the twin"
    )


def test_how_many_groups_a_mask_keeps():
    one = LAYERS["dense"]()
    mask = np.zeros((8, 6), bool)
    mask[:, [1, 4]] = True
    one.mask.assign(mask)
    kept = {granularity: graph_groups(one, granularity).kept(one) for granularity in ("filter", "weight", "block:2x1")}
    assert kept == {"filter": 2, "weight": 16, "block:2x1": 8}
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


def test_a_ticket_of_groups_is_a_mask_of_such_groups():
    one = LAYERS["conv"]()
    ticket = Ticket.from_masks({"a/kernel": np.broadcast_to(np.arange(6) < 3, one.shape)})
    one.mask.assign(ticket["a/kernel"])
    assert graph_groups(one, "filter").kept(one) == 3
