"""Multiply-adds of networks of Keras 3 on TensorFlow, against counts by hand."""

from __future__ import annotations

from collections.abc import Callable

import keras
import pytest

import dlth_tf as dlth
from tests.keras3.networks import BACKEND, L


def sequential(shape: tuple[int, ...], *layers: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers])


def attention() -> keras.Model:
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, L.MultiHeadAttention(2, 4)(inputs, inputs))


def quantized(*layers: keras.Layer) -> keras.Model:
    model = sequential((8,), *layers)
    model.quantize("int8")
    return model


BY_HAND: dict[str, tuple[Callable[[], keras.Model], int]] = {
    "transposed": (lambda: sequential((8, 8, 3), L.Conv2DTranspose(4, 3, strides=2)), 64 * 9 * 3 * 4),
    "grouped": (lambda: sequential((8, 8, 4), L.Conv2D(8, 3, groups=2, padding="same")), 64 * 9 * 2 * 8),
    "attention": (attention, 4 * 5 * 8 * 8),
    "einsum": (lambda: sequential((5, 8), L.EinsumDense("abc,cd->abd", (None, 6))), 5 * 8 * 6),
    "lstm": (lambda: sequential((7, 3), L.LSTM(4, return_sequences=True)), 7 * (3 + 4) * 16),
    "int8": (lambda: quantized(L.Dense(16, "relu"), L.Dense(3)), 8 * 16 + 16 * 3),
    "gru": (lambda: sequential((7, 3), L.Bidirectional(L.GRU(4))), 2 * 7 * (3 + 4) * 12),
}


@pytest.mark.skipif(BACKEND != "tensorflow", reason="counted in TensorFlow's graph")
@pytest.mark.parametrize("case", BY_HAND)
def test_every_layer_counts_what_it_computes(case):
    build, expected = BY_HAND[case]
    assert dlth.summary(dlth.wrap(build())).macs == (expected, expected)


def test_a_subclassed_model_with_an_input_shape_of_its_own_has_no_multiply_adds():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.input_shape = (28, 28)
            self.last = L.Dense(3)

        def call(self, images):
            return self.last(keras.ops.reshape(images, (-1, 784)))

    model = Net()
    model(keras.ops.zeros((1, 28, 28)))
    assert dlth.summary(dlth.wrap(model)).macs is None
