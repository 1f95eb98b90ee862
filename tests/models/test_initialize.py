"""Fresh weights are a pure function of (seed, layer name, weight)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.masking import named_weights
from dlth_tf.models.initialize import fresh_weights

layers = tf_keras.layers


def network(names: str, before: int = 0) -> tf_keras.Model:
    """Returns two dense layers in parallel, created in the order of `names`, after `before` others."""
    for _ in range(before):
        layers.Dense(3).build((None, 3))
    inputs = tf_keras.Input((5,))
    branches = {name: layers.Dense(4, name=name)(inputs) for name in names}
    return tf_keras.Model(inputs, layers.Add()([branches[name] for name in sorted(branches)]))


def drawn(model: tf_keras.Model, seed: int) -> dict[str, np.ndarray]:
    fresh_weights(model, seed)
    return {name: variable.numpy() for name, variable in named_weights(model).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_order_and_history_make_no_difference_and_the_seed_does():
    first = drawn(network("ab"), 0)
    tf.random.set_seed(1234)
    assert same(first, drawn(network("ba", before=3), 0))
    assert not same(first, drawn(network("ab"), 1))


def test_each_layer_has_its_own_draw():
    weights = drawn(network("ab"), 0)
    assert not np.array_equal(weights["a/kernel"], weights["b/kernel"])


def test_drawing_again_restores_the_same_weights_after_training():
    model = network("ab")
    first = drawn(model, 0)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert same(first, drawn(model, 0))


def test_the_layers_own_initializers_are_kept():
    inputs = tf_keras.Input((50,))
    x = layers.Dense(
        40, kernel_initializer="he_normal", bias_initializer=tf_keras.initializers.Constant(0.25), name="he"
    )(inputs)
    x = layers.BatchNormalization(gamma_initializer="ones", name="norm")(x)
    x = layers.Dense(40, kernel_initializer=tf_keras.initializers.RandomUniform(2, 3, seed=7), name="uniform")(x)
    weights = drawn(tf_keras.Model(inputs, x), 0)
    assert weights["he/kernel"].std() == pytest.approx(np.sqrt(2 / 50), rel=0.1)
    assert (weights["he/bias"] == 0.25).all()
    assert (weights["norm/gamma"] == 1).all()
    assert (weights["norm/moving_variance"] == 1).all()
    assert weights["uniform/kernel"].min() >= 2 and weights["uniform/kernel"].max() <= 3


def test_a_seed_in_the_builder_does_not_override_the_runs():
    def model(seed: int) -> tf_keras.Model:
        initializer = tf_keras.initializers.GlorotNormal(seed=seed)
        return tf_keras.Sequential([tf_keras.Input((5,)), layers.Dense(4, kernel_initializer=initializer, name="a")])

    assert same(drawn(model(1), 0), drawn(model(2), 0))
    assert not same(drawn(model(1), 0), drawn(model(1), 1))


def test_models_inside_models_are_drawn_too():
    inner = tf_keras.Sequential([tf_keras.Input((5,)), layers.Dense(4, name="inside")])
    outer = tf_keras.Sequential([tf_keras.Input((5,)), inner, layers.Dense(2, name="outside")])
    first, other = drawn(outer, 0), drawn(outer, 1)
    assert not any(np.array_equal(first[name], other[name]) for name in ("inside/kernel", "outside/kernel"))


def test_kernels_whose_initializer_has_a_shorter_name_are_drawn_too():
    def model() -> tf_keras.Model:
        x = inputs = tf_keras.Input((5, 5, 3))
        x = layers.DepthwiseConv2D(3, name="depthwise")(x)
        return tf_keras.Model(inputs, layers.SeparableConv2D(2, 3, name="separable")(x))

    tf_keras.utils.set_random_seed(1)
    first = drawn(model(), 0)
    tf_keras.utils.set_random_seed(2)
    assert same(first, drawn(model(), 0))
    other = drawn(model(), 1)
    kernels = ["depthwise/depthwise_kernel", "separable/depthwise_kernel", "separable/pointwise_kernel"]
    assert not any(np.array_equal(first[name], other[name]) for name in kernels)


def test_weights_without_an_initializer_attribute_keep_their_values():
    class Scale(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight("scale", shape[-1:], initializer=tf_keras.initializers.Constant(3))

        def call(self, x):
            return x * self.scale

    model = tf_keras.Sequential([tf_keras.Input((5,)), Scale(name="mine"), layers.Dense(2, name="out")])
    assert (drawn(model, 0)["mine/scale"] == 3).all()


def test_layers_inside_layers_are_drawn_too():
    def model() -> tf_keras.Model:
        cell = layers.StackedRNNCells([layers.LSTMCell(3, name="first"), layers.GRUCell(2, name="second")])
        x = inputs = tf_keras.Input((4, 5))
        x = layers.TimeDistributed(layers.Dense(5, name="inner"), name="outer")(x)
        return tf_keras.Model(inputs, layers.RNN(cell, name="rnn")(x))

    tf_keras.utils.set_random_seed(1)
    first = drawn(model(), 0)
    tf_keras.utils.set_random_seed(2)
    assert same(first, drawn(model(), 0))
    other = drawn(model(), 1)
    assert not any(np.array_equal(first[name], other[name]) for name in first if "kernel" in name)
