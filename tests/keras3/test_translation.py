"""Networks of Keras 3 become networks of tf_keras that compute the same, from which the forms of an export are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.keras3.networks import BACKEND, L

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="translated in the process that exports, on TensorFlow")
ops = keras.ops
Step = Callable[[Any], Any]
IMAGE, SEQUENCE = (8, 8, 4), (6, 4)


class Scaled(L.Layer):
    """A layer that tf_keras does not know, with a weight, a layer inside and masks that pass."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.inner = L.Dense(4, name="inner")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight(shape=(4,), initializer="random_normal", name="factor")
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.factor

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape


class OwnModel(keras.Model):
    """A subclassed model inside another one."""

    def __init__(self) -> None:
        super().__init__(name="own_model")
        self.inside = L.Dense(4, name="inside")

    def call(self, x: Any) -> Any:
        return ops.tanh(self.inside(x))


class Masked(L.Layer):
    """Sets what the mask leaves out to 7."""

    def call(self, x: Any, mask: Any = None) -> Any:
        return ops.where(ops.expand_dims(mask, -1), x, 7.0) if mask is not None else x


def adapted(data: tuple[int, ...]) -> L.Layer:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, data))
    return layer


def network(*steps: Step, shape: tuple[int, ...] = IMAGE, dtype: str = "float32") -> keras.Model:
    """Builds a Functional model that ends in a dense layer."""
    x = inputs = keras.Input(shape, dtype=dtype)
    for step in steps:
        x = step(x)
    return keras.Model(inputs, L.Dense(3, name="end")(L.Flatten()(x)))


def words(*steps: Step) -> keras.Model:
    """Builds a network of padded words."""
    return network(L.Embedding(9, 4, mask_zero=True), *steps, shape=(5,), dtype="int32")


def nested(shape: tuple[int, ...]) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, ops.relu(L.Conv2D(3, 2)(inputs)) * 2.0)


def cells() -> L.Layer:
    return L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(2)]))


QUICK: dict[str, Callable[[], keras.Model]] = {
    "adapted normalization": lambda: network(adapted((50, 4))),
    "a function of ones own as activation": lambda: network(L.Dense(4, lambda x: ops.abs(x) + 1)),
    "another function of the same name": lambda: network(L.Conv2D(4, 3, activation="hard_sigmoid")),
    "an activation that tf_keras lacks": lambda: network(L.Activation("hard_silu")),
    "a function of keras.activations": lambda: network(keras.activations.silu),
    "a quotient": lambda: network(lambda x: 1 - x / 255.0),
    "a slice": lambda: network(lambda x: x[:, 0, ::2]),
    "a mean": lambda: network(lambda x: ops.mean(x, axis=[1, 2])),
    "tensors in a list": lambda: network(lambda x: ops.concatenate([x, 2 * x], axis=1)),
    "a product of tensors": lambda: network(lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2)))),
    "a sum of layers": lambda: network(lambda x: x + L.Conv2D(4, 1)(x)),
    "a function in a layer": lambda: network(L.Lambda(lambda x: x * 2)),
    "a layer of ones own": lambda: network(Scaled(name="own")),
    "a model of ones own": lambda: network(OwnModel(), shape=(6,)),
    "a newer layer of Keras 3": lambda: network(L.RMSNormalization()),
    "a layer of ones own in a wrapper": lambda: network(L.TimeDistributed(Scaled(name="own")), shape=SEQUENCE),
    "in both directions": lambda: network(L.Bidirectional(L.LSTM(3, name="r"), name="both"), shape=SEQUENCE),
    "words that are masked": lambda: words(L.GRU(3)),
    "masks through a layer of ones own": lambda: words(Scaled(name="own"), L.LSTM(3)),
    "a mask in a layer of ones own": lambda: words(Masked(name="masked")),
    "masks of two branches": lambda: words(lambda x: L.Concatenate()([x, L.Dense(2)(x)]), L.LSTM(3)),
    "a causal mask": lambda: network(
        lambda x: L.MultiHeadAttention(2, 3, name="attend")(x, x, use_causal_mask=True), shape=SEQUENCE
    ),
    "given first states": lambda: network(
        lambda x: L.LSTM(3)(x, initial_state=[L.Dense(3)(x[:, 0]), L.Dense(3)(x[:, 1])]), shape=SEQUENCE
    ),
    "cells in cells": lambda: network(cells(), shape=SEQUENCE),
    "dropout": lambda: network(L.Dropout(0.5)),
    "dropout that is always in training": lambda: network(lambda x: L.Dropout(0.5)(x, training=True)),
    "operations in a model inside": lambda: network(nested(IMAGE)),
    "depthwise in half precision": lambda: network(L.DepthwiseConv2D(3, dtype="mixed_bfloat16")),
}
SLOW: dict[str, Callable[[], keras.Model]] = {
    "resized": lambda: network(L.Resizing(4, 4), L.CenterCrop(3, 3)),
    "augmented": lambda: network(L.RandomFlip(), L.RandomRotation(0.1), L.GaussianNoise(0.1)),
    "other directions": lambda: network(L.Bidirectional(L.GRU(3, name="forward_x"), merge_mode="sum"), shape=SEQUENCE),
    "two kinds of directions": lambda: network(
        L.Bidirectional(L.LSTM(3), backward_layer=L.GRU(3, go_backwards=True)), shape=SEQUENCE
    ),
    "masked numbers": lambda: network(L.Masking(), L.LSTM(3), shape=SEQUENCE),
    "states that are returned": lambda: network(
        lambda x: L.Concatenate()(list(L.LSTM(3, return_state=True)(x))), shape=SEQUENCE
    ),
    "a spectral norm": lambda: network(L.SpectralNormalization(L.Conv2D(3, 3))),
    "separable": lambda: network(L.SeparableConv2D(4, 3), L.PReLU(), L.GroupNormalization(2)),
    "einsum": lambda: network(L.EinsumDense("abc,cd->abd", output_shape=(6, 5)), shape=SEQUENCE),
    "convlstm": lambda: network(L.Reshape((2, 4, 8, 4)), L.ConvLSTM2D(3, 2)),
    "padded by an operation": lambda: network(lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])),
    "MobileNetV3": lambda: keras.applications.MobileNetV3Small((32, 32, 3), weights=None, classes=4),
    "ConvNeXt": lambda: keras.applications.ConvNeXtTiny(input_shape=(32, 32, 3), weights=None, classes=4),
    "EfficientNet": lambda: keras.applications.EfficientNetB0(input_shape=(32, 32, 3), weights=None, classes=4),
}


def examples(model: keras.Model) -> np.ndarray:
    random = np.random.default_rng(5)
    shape = (6, *model.input_shape[1:])
    if "int" in str(model.inputs[0].dtype):
        return np.where(np.arange(shape[1]) < 3, random.integers(1, 9, shape), 0)
    return random.normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_network_computes_the_same_in_tf_keras(name):
    from dlth_tf.deploy.keras3.translation import translated

    keras.utils.set_random_seed(0)
    model = (QUICK | SLOW)[name]()
    network = translated(model).network
    x = examples(model)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(network(x, training=False), expected, rtol=1e-4, atol=1e-4)
    assert network.count_params() == model.count_params()
    twins = {layer.name: layer.compute_dtype for layer in network.layers}
    pairs = [(layer.compute_dtype, twins[layer.name]) for layer in model.layers if layer.weights]
    assert pairs and all(own == twin for own, twin in pairs)


def test_random_layers_have_twins_which_do_nothing_in_an_export():
    from dlth_tf.deploy.keras3.translation import translated

    model = network(L.RandomFlip(), L.RandomRotation(0.2), L.GaussianNoise(0.5), L.Dropout(0.5), nested(IMAGE))
    assert translated(model).whole == {}


def test_layers_that_tf_keras_knows_are_its_own():
    import tf_keras

    from dlth_tf.deploy.keras3.translation import translated

    layers = tf_keras.layers
    model = network(L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), lambda x: ops.relu(x), L.MaxPooling2D())
    kinds = [type(layer) for layer in translated(model).network.layers[1:-2]]
    assert kinds == [layers.Conv2D, layers.BatchNormalization, layers.ReLU, layers.MaxPooling2D]
