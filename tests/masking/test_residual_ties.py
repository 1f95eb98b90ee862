"""Which layers residual connections tie together."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, models
from dlth_tf.masking.residual_ties import tied_layers

L = tf_keras.layers


def conv(x, filters: int, name: str, size: int = 3):
    return L.BatchNormalization(name=f"{name}_bn")(L.Conv2D(filters, size, padding="same", name=name)(x))


def network(block, channels: int = 4) -> tf_keras.Model:
    """stem - block - block - out."""
    inputs = L.Input((6, 6, 2))
    x = L.ReLU()(conv(inputs, channels, "stem"))
    for name in ("one", "two"):
        x = block(x, channels, name)
    return dlth.wrap(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x))))


def basic(x, channels, name, add=lambda y, x: L.Add()([y, x]), relu=lambda x: L.ReLU()(x)):
    y = conv(relu(conv(x, channels, f"{name}_a")), channels, f"{name}_b")
    return relu(add(y, x))


def bottleneck(x, channels, name):
    y = L.Activation("relu")(conv(x, 2, f"{name}_a", 1))
    y = L.Dropout(0.1)(L.LeakyReLU()(conv(y, 2, f"{name}_b")))
    return L.ReLU()(L.Add()([conv(y, channels, f"{name}_c", 1), x]))


def preactivated(x, channels, name):
    y = L.Conv2D(channels, 3, padding="same", name=f"{name}_a")(L.ReLU()(L.BatchNormalization()(x)))
    return L.Conv2D(channels, 3, padding="same", name=f"{name}_b")(L.ReLU()(L.BatchNormalization()(y))) + x


def projected(x, channels, name):
    return L.Add()(
        [conv(L.ReLU()(conv(x, channels, f"{name}_a")), channels, f"{name}_b"), conv(x, channels, f"{name}_s", 1)]
    )


def concatenated(x, channels, name):
    return L.Concatenate()([conv(x, channels, f"{name}_a"), x])


def concatenated_by_operation(x, channels, name):
    return tf.concat([conv(x, channels, f"{name}_a"), x], -1)


def nested(x, channels, name):
    """Every block a model of its own, whose branch is another."""
    inputs = L.Input(x.shape[1:])
    branch = tf_keras.Sequential(
        [L.Input(x.shape[1:]), L.Conv2D(channels, 3, padding="same", name=f"{name}_a"), L.ReLU()]
    )
    y = L.Conv2D(channels, 3, padding="same", name=f"{name}_b")(branch(inputs))
    return L.ReLU()(L.Add()([tf_keras.Model(inputs, y, name=f"{name}_model")(x), x]))


def gated(x, channels, name):
    return L.Multiply()(
        [
            conv(x, channels, f"{name}_a"),
            L.Dense(channels, "sigmoid", name=f"{name}_gate")(L.GlobalAveragePooling2D()(x)),
        ]
    )


INNER, SECOND = {"one_a", "two_a"}, {"one_b", "two_b"}
BLOCKS = {  # block -> layers free for filters, and for channels (of the convolutions; "stem" reads the image, "out" is last)
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
            self.one, self.two = L.Dense(4, name="one"), L.Dense(4, name="two")

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
    found = scales(model)
    assert all(
        found[f"{name}/kernel"] is model.get_layer(f"{name}_bn").gamma
        for name in ("stem", "one_a", "one_b", "two_a", "two_b")
    )
    assert found["out/kernel"] is None
    assert all(scale is None for name, scale in scales(network(preactivated)).items() if name.endswith("_b/kernel")), (
        "added, not normalised"
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
