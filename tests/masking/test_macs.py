"""Multiply-adds, against counts by hand and published ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf import masking, models
from dlth_tf.masking.macs import PASSES, counted_positions, densities, kernel_positions, training_macs

layers = tf_keras.layers


def macs(model: tf_keras.Model, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the multiply-adds of a forward pass, (dense, with the present masks): a third of those of training."""
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
        self.body = layers.Conv2D(4, 3, name="body")
        self.head = layers.Dense(10, name="head")

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


def sequential(shape: tuple[int, ...], *each: layers.Layer) -> tf_keras.Model:
    return tf_keras.Sequential([layers.Input(shape), *each])


def attention() -> tf_keras.Model:
    inputs = tf_keras.Input((5, 8))
    return tf_keras.Model(inputs, layers.MultiHeadAttention(2, 4, name="mha")(inputs, inputs))


BY_HAND = {
    "transposed": (lambda: sequential((8, 8, 3), layers.Conv2DTranspose(4, 3, strides=2)), 64 * 9 * 3 * 4),
    "transposed in 1D": (lambda: sequential((8, 3), layers.Conv1DTranspose(4, 2, strides=2)), 8 * 2 * 3 * 4),
    "transposed in 3D": (lambda: sequential((4, 4, 4, 2), layers.Conv3DTranspose(3, 2, strides=2)), 64 * 8 * 2 * 3),
    "grouped": (lambda: sequential((8, 8, 4), layers.Conv2D(8, 3, groups=2, padding="same")), 64 * 9 * 2 * 8),
    "grouped in 3D": (lambda: sequential((4, 4, 4, 2), layers.Conv3D(4, 2, groups=2)), 27 * 8 * 4),
    "dilated": (lambda: sequential((8, 8, 4), layers.Conv2D(6, 3, dilation_rate=2, padding="same")), 64 * 9 * 4 * 6),
    "separable": (lambda: sequential((8, 4), layers.SeparableConv1D(6, 3, padding="same")), 8 * (3 * 4 + 4 * 6)),
    "locally connected": (lambda: sequential((8, 2), layers.LocallyConnected1D(3, 3)), 6 * 3 * 2 * 3),
    "attention": (attention, 4 * 5 * 8 * 8),
    "einsum": (lambda: sequential((5, 8), layers.EinsumDense("abc,cd->abd", (None, 6))), 5 * 8 * 6),
    "einsum with an ellipsis": (lambda: sequential((5, 8), layers.EinsumDense("...x,xy->...y", 6)), 5 * 8 * 6),
    "dense on each step": (lambda: sequential((7, 3), layers.Dense(4)), 7 * 3 * 4),
    "convolution on each step": (
        lambda: sequential((5, 8, 8, 2), layers.TimeDistributed(layers.Conv2D(3, 3))),
        5 * 36 * 54,
    ),
    "embedding": (lambda: sequential((7,), layers.Embedding(50, 8), layers.LSTM(16)), 7 * (8 + 16) * 64),
    "lstm": (lambda: sequential((7, 3), layers.LSTM(4, return_sequences=True)), 7 * (3 + 4) * 16),
    "unrolled": (lambda: sequential((7, 3), layers.LSTM(4, unroll=True)), 7 * (3 + 4) * 16),
    "gru": (lambda: sequential((7, 3), layers.GRU(4)), 7 * (3 + 4) * 12),
    "masked": (lambda: sequential((7, 3), layers.Masking(), layers.SimpleRNN(4, go_backwards=True)), 7 * (3 + 4) * 4),
    "bidirectional": (lambda: sequential((7, 3), layers.Bidirectional(layers.LSTM(4))), 2 * 7 * (3 + 4) * 16),
    "cells": (
        lambda: sequential((7, 3), layers.RNN([layers.LSTMCell(4), layers.LSTMCell(5)])),
        7 * ((3 + 4) * 16 + (4 + 5) * 20),
    ),
    "convolution in a cell": (lambda: sequential((5, 8, 8, 2), layers.ConvLSTM2D(3, 3)), 5 * 36 * 9 * (2 + 3) * 12),
    "scaled": (
        lambda: sequential((8, 8, 2), layers.Conv2D(3, 3, padding="same"), layers.PReLU(), layers.LayerNormalization()),
        64 * 9 * 2 * 3,
    ),
}


@pytest.mark.fast_cases(
    "transposed",
    "grouped",
    "dilated",
    "separable",
    "attention",
    "einsum",
    "dense on each step",
    "lstm",
    "bidirectional",
)
@pytest.mark.parametrize("case", BY_HAND)
def test_every_layer_counts_what_it_computes(case):
    build, expected = BY_HAND[case]
    model = build()
    positions, missing = counted_positions(model, model.input_shape[1:])
    sizes = {name: int(np.prod(weight.shape)) for name, weight in masking.named_weights(model).items()}
    assert sum(times * sizes[name] for name, times in positions.items()) == expected and missing == []


class Kernel(layers.Layer):
    """Has a kernel and a function that uses it."""

    def __init__(self, use, **options) -> None:
        super().__init__(**options)
        self.use = use

    def build(self, shape) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 3))
        super().build(shape)

    def call(self, inputs):
        return self.use(inputs, tf.convert_to_tensor(self.kernel))


@pytest.mark.parametrize(
    "use",
    [
        lambda x, kernel: x @ tf.nn.l2_normalize(kernel, 0),
        lambda x, kernel: tf.matmul(kernel, x, transpose_a=True, transpose_b=True),
        lambda x, kernel: tf.concat([x @ part for part in tf.split(kernel, 3, 1)], 1),
        lambda x, kernel: tf.function(tf.matmul)(x, kernel),
    ],
    ids=["normalized", "on the left", "in parts", "in a function"],
)
def test_a_kernel_is_known_after_what_is_done_to_it_alone(use):
    model = sequential((4,), Kernel(use, name="own"))
    assert counted_positions(model, (4,)) == ({"own/kernel": 1}, [])


@pytest.mark.parametrize(
    "use",
    [
        lambda x, kernel: tf.reduce_sum(x[..., None] * kernel, -2),
        lambda x, kernel: tf.cond(tf.reduce_sum(x) > 0, lambda: x @ kernel, lambda: x @ kernel @ tf.ones((3, 3))),
        lambda x, kernel: tf.while_loop(lambda h: tf.norm(h) < 9, lambda h: (h + x @ kernel,), (x @ kernel,))[0],
        lambda x, kernel: tf.boolean_mask(x, x[:, 0] > 0) @ kernel,
        lambda x, kernel: x @ kernel + x[:, :1] @ kernel[:1],
    ],
    ids=["a product and its sum", "a branch", "a loop of unknown length", "rows of unknown number", "a part twice"],
)
def test_a_kernel_whose_use_is_not_known_is_named_and_no_sum_is_stated_without_it(use, caplog):
    model = dlth_tf.wrap(sequential((4,), layers.Dense(4, name="dense"), Kernel(use, name="own")), only="dense")
    assert counted_positions(model, (4,)) == ({"dense/kernel": 1}, ["own/kernel"])
    shown = dlth_tf.summary(model)
    assert shown.macs is None and shown.uncounted == ("own/kernel",)
    assert "multiply-adds  not counted: those of own/kernel are not known" in repr(shown)
    assert kernel_positions(model, (4,)) == {"dense/kernel": 1}
    assert "multiply-adds leave out own/kernel, whose use is not understood" in caplog.text


def test_weights_that_are_looked_up_or_added_need_no_multiply_adds():
    class Tokens(tf_keras.Model):
        def __init__(self, tied: bool) -> None:
            super().__init__()
            self.tied = tied
            self.tokens, self.places = layers.Embedding(10, 4, name="tokens"), layers.Embedding(5, 4, name="places")
            self.first = self.add_weight("first", (1, 1, 4))
            self.dense = layers.Dense(4, name="dense")

        def call(self, ids):
            known = self.tokens(ids) + self.places(tf.range(5))
            start = tf.broadcast_to(self.first, (tf.shape(ids)[0], 1, 4))
            states = self.dense(tf.concat([start, known], 1))
            return tf.matmul(states, self.tokens.embeddings, transpose_b=True) if self.tied else states

    for tied, embeddings in ((False, {}), (True, {"tokens/embeddings": 6})):
        model = Tokens(tied)
        model(tf.zeros((1, 5), tf.int32))
        assert counted_positions(model, (5,)) == ({"dense/kernel": 6, **embeddings}, [])
