"""Layers that residual connections tie together, and the gammas of convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, models
from dlth_tf.masking.structure.residual_ties import tied_layers
from tests.masking.residual_networks import (
    basic,
    bottleneck,
    concatenated,
    concatenated_by_operation,
    conv,
    gated,
    nested,
    network,
    preactivated,
    projected,
)

L = tf_keras.layers


INNER = {"one_a", "two_a"}
SECOND = {"one_b", "two_b"}
# Block -> (builder, layers free for filters, layers free for channels); "stem" reads the image, and "out" is last.
BLOCKS = {
    "basic": (basic, INNER, {"stem", *SECOND}),
    "with x + y": (lambda x, c, n: basic(x, c, n, add=lambda y, x: y + x), INNER, {"stem", *SECOND}),
    "with tf.add and tf.nn.relu": (lambda x, c, n: basic(x, c, n, tf.add, tf.nn.relu), INNER, {"stem", *SECOND}),
    "with x * y": (lambda x, c, n: basic(x, c, n, add=lambda y, x: y * x), INNER, {"stem", *SECOND}),
    "bottleneck": (bottleneck, {*INNER, *SECOND}, {"stem", *SECOND, "one_c", "two_c"}),
    "preactivated": (preactivated, INNER, {"stem", *SECOND}),
    "projected": (projected, {"stem", *INNER}, {"stem", "one_a", "one_s", *SECOND}),
    "nested": (nested, INNER, {"stem", *SECOND}),
    "gated": (gated, {"stem"}, {"stem", "one_a", "one_gate"}),
    "concatenated": (concatenated, {"stem", *INNER}, {"stem", "out", *INNER}),
    "tf.concat": (concatenated_by_operation, {"stem", *INNER}, {"stem", "out", *INNER}),
}


@pytest.mark.fast_cases("basic", "with tf.add and tf.nn.relu", "projected", "nested", "concatenated")
@pytest.mark.parametrize("name", BLOCKS)
def test_what_an_addition_ties_is_found_and_nothing_else(name):
    block, filters, channels = BLOCKS[name]
    model = network(block)
    every = {entry.layer.name for entry in masking.prunable_weights(model).values()}
    assert every - tied_layers(model, "filter") - {"out"} == filters
    assert every - tied_layers(model, "channel") == channels
    assert tied_layers(model, "weight") == tied_layers(model, "block:2x2") == tied_layers(model, "2:4") == set()


def test_of_a_registered_residual_network_the_inner_convolutions_of_every_block_are_free():
    model = dlth.wrap(models.build("resnet8", (32, 32, 3), 10, 0, {"width": 0.25}))
    ticket = dlth.random_ticket(model, 0.5, granularity="filter")
    assert list(ticket) == [f"stage{stage}_block1_conv1/kernel" for stage in (1, 2, 3)]


def test_a_chain_has_nothing_tied_and_neither_has_a_graph_that_is_not_known():
    chain = network(lambda x, channels, name: conv(x, channels, name))

    class Own(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = L.Dense(4, name="one")
            self.two = L.Dense(4, name="two")

        def call(self, x):
            return self.one(x) + self.two(x)

    own = Own()
    own(np.ones((1, 3), "float32"))
    for granularity in ("filter", "channel"):
        assert tied_layers(chain, granularity) == tied_layers(dlth.wrap(own), granularity) == set()


def test_wrapping_in_two_steps_changes_nothing():
    model = network(basic)
    plain = tf_keras.models.clone_model(dlth.strip(model))
    twice = dlth.wrap(dlth.wrap(plain, only="one_*"))
    assert tied_layers(twice, "filter") == tied_layers(model, "filter")
    assert {key: scale is None for key, scale in scales(twice).items()} == {
        key: scale is None for key, scale in scales(model).items()
    }


def scales(model: tf_keras.Model) -> dict[str, tf.Variable | None]:
    return masking.batch_norm_gammas(model, masking.prunable_weights(model))


def test_the_scale_of_a_convolution_is_gamma_of_the_batch_norm_that_takes_it():
    model = network(basic)
    gammas = scales(model)
    assert all(
        gammas[f"{name}/kernel"] is model.get_layer(f"{name}_bn").gamma
        for name in ("stem", "one_a", "one_b", "two_a", "two_b")
    )
    assert gammas["out/kernel"] is None
    assert all(scale is None for name, scale in scales(network(preactivated)).items() if name.endswith("_b/kernel")), (
        "added, not normalized"
    )


@pytest.mark.parametrize("case", ["no gamma", "two norms", "activation between", "transposed"])
def test_there_is_no_scale_where_it_is_not_one_number_per_filter(case):
    inputs = L.Input((6, 6, 2))
    kind = L.Conv2DTranspose if case == "transposed" else L.Conv2D
    x = kind(4, 3, name="c")(inputs)
    x = L.ReLU()(x) if case == "activation between" else x
    y = L.BatchNormalization(scale=case != "no gamma")(x)
    y = L.Add()([y, L.BatchNormalization()(x)]) if case == "two norms" else y
    assert scales(dlth.wrap(tf_keras.Model(inputs, y))) == {"c/kernel": None}
