"""Weights in fewer bits: rounded as NumPy rounds, with a scale per output channel, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.frozen_graph import freeze
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.savedmodel.rounding import quantized, round_kernels, rounded
from dlth_tf.deploy.serving import RAW, Served, Serving
from dlth_tf.errors import BadInput
from tests.deploy.oracles import dequantized

L = tf_keras.layers


@pytest.mark.parametrize("values", ["float16", "bfloat16"])
@pytest.mark.parametrize("number", [5e-8, 6e-5, 1.0, 65504.0, np.inf, -0.0])
def test_kernels_are_rounded_as_numpy_rounds(number, values):
    kernel = np.array([[number, -1.2345678]], np.float32)
    short = np.float16 if values == "float16" else tf.bfloat16.as_numpy_dtype
    assert rounded("a", kernel, values).tobytes() == kernel.astype(short).astype(np.float32).tobytes()


def test_each_channel_has_its_own_scale_and_zeros_stay():
    kernel = np.array([[1.0, -200.0, 0.0], [0.0, 50.0, 0.0], [-0.25, 1e-3, 0.0]], np.float32)
    whole, scales = quantized("a", kernel, 3)
    assert whole.tolist() == [[127, -127, 0], [0, 32, 0], [-32, 0, 0]]
    assert np.allclose(scales.values, [1 / 127, 200 / 127, 1])
    assert np.all(np.abs(dequantized(whole, scales) - kernel) <= scales.values / 2 * 1.0001)


@pytest.mark.fast_cases("depthwise")
@pytest.mark.parametrize(
    ("layer", "channels", "inner"),
    [
        (lambda: L.Conv2D(5, 3), 5, 1),
        (lambda: L.DepthwiseConv2D(3, depth_multiplier=2), 8, 1),
        (lambda: L.Conv2DTranspose(5, 3), 5, 4),
    ],
    ids=["convolution", "depthwise", "transposed"],
)
def test_the_channels_are_those_of_the_outputs(layer, channels, inner, tmp_path):
    inputs = tf_keras.Input((6, 6, 4))
    model = tf_keras.Model(inputs, layer()(inputs))
    serving = Serving(task=RAW)
    (scales,) = round_kernels(freeze(Served(model, serving), "packed"), "int8").values()
    assert (len(scales.values), scales.inner) == (channels, inner)
    save_packed(model, tmp_path / "out", serving, "int8")
    images = np.random.default_rng(0).random((2, 6, 6, 4), np.float32)
    serve = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    expected = model(images).numpy()
    for served in serve(images=tf.constant(images)).values():
        assert 0 < np.abs(served - expected).max() < 2e-2 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("values", "number", "message"),
    [
        ("float16", 1e5, "values=float16: cannot represent 100000, the largest magnitude in "),
        ("bfloat16", 3.4e38, r"values=bfloat16: cannot represent 3.4e\+38, the largest magnitude in "),
        ("int8", np.inf, "values=int8: cannot represent infinite or undefined numbers, which .* contains"),
    ],
)
def test_numbers_beyond_the_range_are_refused(values, number, message, tmp_path):
    model = tf_keras.Sequential([tf_keras.Input((9,)), L.Dense(3, name="head")])
    model.get_layer("head").kernel.assign(np.full((9, 3), number))
    with pytest.raises(BadInput, match=message):
        save_packed(model, tmp_path / "out", Serving(), values)
    save_packed(model, tmp_path / "out", Serving(), "float32")


def test_a_network_without_float32_weights_is_refused(tmp_path):
    model = tf_keras.Sequential([tf_keras.Input((9,)), L.Dense(3, dtype="float64")])
    with pytest.raises(BadInput, match="values=float16: rounds float32 weights, and this network has none"):
        save_packed(model, tmp_path / "out", Serving(), "float16")


def of_a_table(*middle) -> tf_keras.Model:
    given = tf_keras.Input((3,))
    return tf_keras.Sequential([given, *middle, L.Dense(64, "relu", name="body"), L.Dense(4, name="head")])


def adapted(rows: np.ndarray) -> tf_keras.layers.Layer:
    layer = L.Normalization()
    layer.adapt(rows)
    return layer


ROWS = np.random.default_rng(0).normal([1990.3, 52000, 0], [5, 900, 1], (200, 3)).astype(np.float32)


@pytest.mark.fast_cases("by layer-float16", "by operations-bfloat16", "by axis-int8")
@pytest.mark.parametrize("values", ["float16", "bfloat16", "int8"])
@pytest.mark.parametrize(
    "layers",
    [
        lambda: [adapted(ROWS)],
        lambda: [L.Lambda(lambda rows: (rows - ROWS[:1].mean(0, keepdims=True)) * (1 / ROWS.std(0, keepdims=True)))],
        lambda: [L.Reshape((3, 1)), adapted(ROWS[..., None]), L.Flatten()],
    ],
    ids=["by layer", "by operations", "by axis"],
)
def test_the_numbers_of_the_preprocessing_are_not_rounded(layers, values, tmp_path):
    model = of_a_table(*layers())
    save_packed(model, tmp_path / "out", Serving(task=RAW), values)
    serve = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    expected = model(ROWS).numpy()
    ((name, found),) = serve(images=tf.constant(ROWS)).items()
    assert 0 < np.abs(found - expected).max() < 2e-2 * np.abs(expected).max(), name


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [L.Reshape((3, 1)), L.LocallyConnected1D(4, 2, implementation=2), L.Flatten()],
        lambda: [L.Lambda(lambda rows: tf.cast(rows, tf.int32)), L.Embedding(3, 5), L.Flatten()],
        lambda: [L.Reshape((1, 3)), L.LSTM(4)],
    ],
    ids=["masked kernel", "embedding", "recurrent"],
)
def test_kernels_that_are_changed_or_read_elsewhere_are_rounded(layers, tmp_path):
    model = of_a_table(*layers())
    frozen = freeze(Served(model, Serving(task=RAW)), "packed")
    round_kernels(frozen, "bfloat16")
    found = {value.tobytes() for value in frozen.constants.values()}
    for weight in model.layers[-3].weights + model.layers[-4].weights + model.layers[-1].weights:
        kernel = weight.numpy()
        assert kernel.ndim < 2 or rounded("a", kernel, "bfloat16").tobytes() in found, weight.name
