"""Masks in translated networks: Keras 3 drops them in other places than tf_keras, and numbers depend on that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import dlth_tf as dlth
from tests.keras3.networks import BACKEND, L

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="translated in the process that exports, on TensorFlow")
ops = keras.ops
Step = Callable[[Any], Any]

MEAN = L.GlobalAveragePooling1D
AFTER_A_MASK: dict[str, Step] = {
    "a sum": lambda h: MEAN()(h + L.Dense(4, "tanh")(h)),
    "a product": lambda h: MEAN()(L.Dense(4)(h) * L.Dense(4)(h)),
    "a difference": lambda h: L.LSTM(3)(h - 2 * h),
    "relu": lambda h: MEAN()(ops.relu(h)),
    "attention with a residual": lambda h: MEAN()(L.LayerNormalization()(h + L.MultiHeadAttention(2, 3)(h, h))),
    "attention takes the mask away": lambda h: L.Concatenate()([L.MultiHeadAttention(2, 3)(h, h)[:, 0], MEAN()(h)]),
    "first states": lambda h: L.LSTM(3)(h, initial_state=[L.Dense(3)(h[:, 0]), L.Dense(3)(h[:, 1])]),
    "a sum of layers": lambda h: MEAN()(L.Add()([h, L.Dense(4)(h)])),
    "one layer twice": lambda h: (lambda both: L.Concatenate()([both(h), both(h * 1.0)]))(L.GRU(3)),
}
QUICK = ("a sum", "attention with a residual", "first states", "one layer twice")


def encoder_and_decoder() -> keras.Model:
    """Keras 3 passes no mask to an LSTM with given states, but passes one on."""
    source, target = keras.Input((7,), dtype="int32"), keras.Input((8,), dtype="int32")
    source_words, target_words = (L.Embedding(9, 4, mask_zero=True) for _ in "ab")
    _, *states = L.LSTM(5, return_state=True)(source_words(source))
    decoded = L.LSTM(5, return_sequences=True)(target_words(target), initial_state=states)
    return keras.Model([source, target], L.Dense(3)(L.AdditiveAttention()([decoded, L.Dense(5)(source_words(source))])))


def padded(numbers: np.ndarray) -> np.ndarray:
    numbers[:, 5:] = 0
    return numbers


def from_numbers(step: Step) -> tuple[keras.Model, np.ndarray]:
    inputs = keras.Input((8, 4))
    model = keras.Model(inputs, L.Dense(3, name="end")(step(L.Masking()(inputs))))
    return model, padded(np.random.default_rng(1).normal(size=(6, 8, 4)).astype("float32"))


def from_words(step: Step) -> tuple[keras.Model, np.ndarray]:
    inputs = keras.Input((8,), dtype="int32")
    model = keras.Model(inputs, L.Dense(3, name="end")(step(L.Embedding(9, 4, mask_zero=True)(inputs))))
    return model, padded(np.random.default_rng(1).integers(1, 9, (6, 8)).astype("int32"))


@pytest.mark.fast_cases("attention with a residual-from_words", "one layer twice-from_numbers")
@pytest.mark.parametrize("build", [from_numbers, from_words])
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in AFTER_A_MASK])
def test_padded_examples_give_the_numbers_of_keras_3(name, build):
    from dlth_tf.deploy.keras3.translation import translated

    keras.utils.set_random_seed(0)
    model, x = build(AFTER_A_MASK[name])
    network = translated(model).network
    np.testing.assert_allclose(network(x, training=False), model(x, training=False), rtol=0, atol=1e-5)
    whole = padded(x) * 0 + 3  # nothing is padding
    np.testing.assert_allclose(network(whole, training=False), model(whole, training=False), rtol=0, atol=1e-5)


def test_an_encoder_and_a_decoder_give_the_numbers_of_keras_3():
    from dlth_tf.deploy.keras3.translation import translated

    keras.utils.set_random_seed(0)
    model = encoder_and_decoder()
    done = translated(model)
    random = np.random.default_rng(1)
    x = [padded(random.integers(1, 9, (6, size)).astype("int32")) for size in (7, 8)]
    assert done.whole == {}
    np.testing.assert_allclose(done.network(x, training=False), model(x, training=False), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_an_export_serves_padded_examples_as_the_model_computes_them(tmp_path):
    keras.utils.set_random_seed(0)
    model, x = from_numbers(AFTER_A_MASK["a sum"])
    dlth.export(model, tmp_path, formats=("plain", "compact"), measure_latency=False, examples=x)
    for form in ("plain", "compact"):
        served = tf.saved_model.load(str(tmp_path / form)).signatures["serving_default"](images=tf.constant(x))
        np.testing.assert_allclose(served["logits"], model(x, training=False), rtol=0, atol=1e-5)


def test_a_layer_that_agrees_in_its_first_call_only_is_called_as_it_is():
    from dlth_tf.deploy.keras3.translation import translated

    class Dense(L.Dense):
        """A layer of the same name that doubles what it is called with the second time in a graph."""

    double = L.Dense(4, name="twice", activation=lambda x: ops.where(ops.max(ops.abs(x)) > 1e3, x, ops.tanh(x)))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Concatenate()([double(inputs), double(inputs * 1e5)]))
    done = translated(model)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(done.network(x), model(x), rtol=1e-5)
    assert done.network.count_params() == model.count_params()
