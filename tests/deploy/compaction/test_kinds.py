"""Removed channels are followed through known layers, and channels at unknown layers stay."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tf_keras

from tests.deploy.compaction.networks import check, widths, with_middle
from tests.deploy.pruned import zero

L = tf_keras.layers


def nested(x):
    inputs = L.Input(x.shape[1:])
    return tf_keras.Model(inputs, L.Conv2D(4, 1, name="inside")(inputs), name="nested")(x)


def shared(x):
    twice = L.Conv2D(4, 3, padding="same", name="twice")
    return twice(twice(x))


class Own(L.ReLU):
    def call(self, inputs):
        return tf.nn.softmax(inputs)


def halved(x):
    return x / (1 + tf.reduce_sum(tf.abs(x), -1, keepdims=True))


UNKNOWN = {
    "nested": nested,
    "shared": shared,
    "grouped": L.Conv2D(4, 3, groups=2, padding="same", name="middle"),
    "transposed": L.Conv2DTranspose(4, 3, padding="same", name="middle"),
    "custom layer": Own(),
    "lambda": L.Lambda(lambda x: tf.nn.softmax(x)),
    "function": tf.nn.softmax,
    "softmax": L.Activation("softmax"),
    "custom activation": L.Activation(halved),
    "statistics of the batch": lambda x: L.BatchNormalization(name="middle")(x, training=True),
    "reshape": lambda x: L.Reshape((6, 6, 4))(L.Permute((1, 2, 3))(x)),
    "spatial concatenation": lambda x: L.Concatenate(axis=1)([x, x]),
    "broadcast": lambda x: L.Multiply()([x, L.Dense(1, name="gate")(x)]),
}


@pytest.mark.parametrize("middle", UNKNOWN.values(), ids=UNKNOWN)
def test_what_layers_that_are_not_known_touch_stays(middle):
    model = with_middle(middle)
    assert widths(check(model)) == {**widths(model), "after": 3}, "only channels that they do not touch are removed"


def test_units_under_a_softmax_stay_and_what_it_reads_goes():
    model = with_middle(L.Dense(4, "softmax", name="middle"))
    zero(model, "middle", [3])
    assert widths(check(model)) == {"before": 2, "middle": 4, "after": 3, "out": 3}


KNOWN = {  # the middle, and the remaining outputs of the first convolution and of the middle
    "depthwise": (L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False, name="middle"), 2, 4),
    "concatenation": (lambda x: L.Concatenate(name="middle")([x, L.Conv2D(3, 1, name="branch")(x), x]), 2, 7),
    "addition": (lambda x: L.Add(name="middle")([x, L.Conv2D(4, 3, padding="same", name="branch")(x)]), 4, 4),
    "pooling": (lambda x: L.AveragePooling2D(3, 1, name="middle")(L.MaxPooling2D(2, 1, padding="same")(x)), 2, 2),
    "cropping": (lambda x: L.UpSampling2D(name="middle")(L.Cropping2D(1)(x)), 2, 2),
    "positions": (L.Dense(4, "tanh", name="middle"), 2, 4),
    "dropout": (lambda x: L.Dropout(0.5, name="middle")(L.LeakyReLU()(x)), 2, 2),
    "two layers": (lambda x: L.Conv2D(4, 1, name="middle")(L.BatchNormalization()(x)), 2, 4),
}


@pytest.mark.parametrize(("middle", "before", "after"), KNOWN.values(), ids=KNOWN)
def test_removed_channels_are_followed_through_known_layers(middle, before, after):
    model = with_middle(middle)
    model.get_layer("before").bias.assign([-1.0, -1.0, 0.1, 0.2])
    compacted = check(model)
    assert widths(compacted)["before"] == before and widths(compacted)["after"] == 3
    assert compacted.get_layer("middle").output_shape[-1] == after
