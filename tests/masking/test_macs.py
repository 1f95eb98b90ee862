"""Multiply-adds, counted by hand and as published."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf import masking, models
from dlth_tf.masking.macs import PASSES, densities, kernel_positions, training_macs

layers = tf_keras.layers


def macs(model: tf_keras.Model, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Multiply-adds of a forward pass, (dense, with the present masks): a third of those of training."""
    positions = kernel_positions(model, image_shape)
    dense, needed = training_macs(model, positions, densities(model))
    return dense // PASSES, round(needed / PASSES)


def built(name: str, image_shape: tuple[int, ...], **arguments) -> tf_keras.Model:
    return dlth_tf.wrap(models.build(name, image_shape, 10, 0, arguments))


def test_lenet_300_100_by_hand():
    dense = 64 * 300 + 300 * 100 + 100 * 10
    assert macs(built("lenet_300_100", (8, 8, 1)), (8, 8, 1)) == (dense, dense)


def test_lenet5_by_hand():
    model = built("lenet5", (28, 28, 1))
    assert kernel_positions(model, (28, 28, 1)) == {
        "conv1/kernel": 28 * 28,  # same padding
        "conv2/kernel": 10 * 10,  # 14 - 5 + 1
        "fc1/kernel": 1,
        "fc2/kernel": 1,
        "fc3/kernel": 1,
    }
    assert macs(model, (28, 28, 1))[0] == 25 * 6 * 784 + 25 * 6 * 16 * 100 + 400 * 120 + 120 * 84 + 84 * 10


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [("lenet5", 1, 61_706), ("lenet_300_100", 1, 266_610)],  # LeCun et al. 1998; Frankle and Carbin 2019
)
def test_published_parameters(name, channels, parameters):
    assert models.build(name, (28, 28, channels), 10, 0).count_params() == parameters
    assert models.build(name, (28, 28, channels), 11, 0).count_params() != parameters


def test_strides_depthwise_and_padding_count_what_is_really_computed():
    inputs = tf_keras.Input((9, 9, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="valid", name="strided")(inputs)  # 4x4
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    model = dlth_tf.wrap(tf_keras.Model(inputs, layers.Dense(10, name="out")(layers.GlobalAveragePooling2D()(x))))
    assert macs(model, (9, 9, 3))[0] == 9 * 3 * 4 * 16 + 9 * 4 * 16 + 4 * 10


def test_a_shared_layer_counts_for_each_use():
    def model(times: int) -> tf_keras.Model:
        x = inputs = tf_keras.Input((6,))
        shared = layers.Dense(6, name="shared")
        for _ in range(times):
            x = shared(x)
        return dlth_tf.wrap(tf_keras.Model(inputs, layers.Dense(2, name="out")(x)))

    assert macs(model(1), (6,))[0] == 36 + 12
    assert macs(model(2), (6,))[0] == 2 * 36 + 12


class Own(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = layers.Conv2D(4, 3, name="body"), layers.Dense(10, name="head")

    def call(self, images):
        return self.head(tf.reduce_mean(self.body(images), [1, 2]))


def test_a_subclassed_model_counts_like_any_other():
    model = Own()
    model.build((None, 8, 8, 1))
    assert macs(dlth_tf.wrap(model), (8, 8, 1))[0] == 9 * 4 * 36 + 4 * 10


def test_theoretical_multiply_adds_are_those_of_kept_weights():
    model = built("lenet5", (28, 28, 1))
    dense, _ = macs(model, (28, 28, 1))
    ticket = dlth_tf.random_ticket(model, 0.75, seed=0)
    dlth_tf.apply_ticket(model, ticket)
    assert macs(model, (28, 28, 1)) == (dense, dense)  # chosen, but nothing is removed yet
    dlth_tf.apply_ticket(model, ticket, remove=True)
    kept = {name: int(np.sum(mask)) for name, mask in ticket.items()}
    assert set(kept) == {"conv2/kernel", "fc1/kernel", "fc2/kernel"}
    by_hand = 25 * 6 * 784 + kept["conv2/kernel"] * 100 + kept["fc1/kernel"] + kept["fc2/kernel"] + 84 * 10
    assert macs(model, (28, 28, 1)) == (dense, by_hand)


def test_half_precision_does_not_hide_a_kernel():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = built("lenet5", (28, 28, 1))
        assert len(kernel_positions(model, (28, 28, 1))) == len(masking.prunable_weights(model)) == 5
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
