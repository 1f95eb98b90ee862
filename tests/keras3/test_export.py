"""Exports of Keras 3 models: the forms compute what the model computes, on the backend of the process."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput
from tests.keras3.networks import BACKEND, L, compiled, fit, mlp, transform


def convolutions() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3), name="pictures")
    x = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(8, 3, padding="same", name="a")(x)))
    x = L.Conv2D(8, 3, padding="same", activation="relu", name="b")(x) + x
    return keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x)))


def served(folder, inputs):
    import tensorflow as tf

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return {name: value.numpy() for name, value in serve(**inputs).items()}


def test_a_transformed_model_is_exported_with_its_zeros(tmp_path):
    model = compiled(mlp())
    fit(model, transform())
    ticket = dlth.masking.chosen_ticket(model)
    report = dlth.export(model, tmp_path, formats=("plain", "packed"), measure_latency=False, ticket=ticket)
    assert set(report["forms"]) == {"plain", "packed"}
    x = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x))
    for form in report["forms"]:
        np.testing.assert_allclose(served(tmp_path / form, {"images": x})["logits"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_removed_filters_make_a_smaller_network(tmp_path):
    model = convolutions()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, granularity="filter", dense_layers="last"), remove=True)
    report = dlth.export(model, tmp_path, formats=("compact", "tflite_float32"), measure_latency=False)
    assert report["forms"]["compact"]["parameters"] < model.count_params()
    x = np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(served(tmp_path / "compact", {"images": x})["logits"], expected, rtol=1e-4, atol=1e-5)


@keras.saving.register_keras_serializable("tests.keras3")
class Own(L.Layer):
    """A layer that tf_keras does not know."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = L.Dense(6, name="inner")

        self.other = L.Dense(6, name="other")

    def build(self, shape):
        self.inner.build(shape)
        self.other.build(shape)

    def call(self, x):
        return keras.ops.tanh(self.inner(x)) + self.other(x)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="the process that exports would not know this module's class")
def test_the_zeros_inside_a_layer_of_ones_own_are_checked(tmp_path):
    model = keras.Sequential([keras.Input((6,)), L.Dense(6, name="in"), Own(name="own"), L.Dense(3, name="out")])
    ticket = dlth.random_ticket(model, 0.5)
    assert set(ticket) == {"in/kernel", "own/inner/kernel", "own/other/kernel"}
    dlth.apply_ticket(model, ticket, remove=True)
    dlth.export(model, tmp_path / "out", formats=("packed", "compact"), measure_latency=False, ticket=ticket)
    unmasked = keras.models.clone_model(model)
    unmasked.set_weights(model.get_weights())
    unmasked.get_layer("own").other.kernel.assign(np.ones((6, 6), "float32"))
    with pytest.raises(RuntimeError, match=r"own/kernel_2 has nonzero weights that the ticket removes"):
        dlth.export(unmasked, tmp_path / "wrong", formats=("plain",), measure_latency=False, ticket=ticket)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="the process that exports would not know this module's class")
def test_a_layer_of_ones_own_stays_whole_in_every_form(tmp_path):
    inputs = keras.Input((6,))
    hidden = L.Dense(7, name="next")(L.Dense(8, "relu", name="in")(inputs))
    model = keras.Model(inputs, L.Dense(3, name="out")(Own(name="own")(L.Dense(6, "relu", name="mid")(hidden / 2))))
    ticket = dlth.random_ticket(model, 0.5, granularity="filter", dense_layers="last,own*")
    dlth.apply_ticket(model, ticket, remove=True)
    forms = ("plain", "packed", "compact", "onnx", "tflite_float32")
    report = dlth.export(model, tmp_path / "out", formats=forms, measure_latency=False, ticket=ticket)
    x = np.ones((2, 6), "float32")
    expected = keras.ops.convert_to_numpy(model(x))
    for form in ("plain", "packed", "compact"):
        np.testing.assert_allclose(served(tmp_path / "out" / form, {"images": x})["logits"], expected, rtol=1e-5)
    assert report["forms"]["compact"]["parameters"] < model.count_params()
    half = keras.Sequential([keras.Input((6,)), Own(name="own"), L.Dense(3, name="out", dtype="mixed_bfloat16")])
    report = dlth.export(half, tmp_path / "half", formats=("tflite_float32",), measure_latency=False)
    assert list(report["forms"]) == ["tflite_float32"]


class Noise(L.Layer):
    """Adds random numbers in inference mode too."""

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


class Subclassed(keras.Model):
    """A model without a known graph."""

    def __init__(self):
        super().__init__(name="mine")
        self.end = L.Dense(3, name="end")

    def call(self, x):
        return self.end(x)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the process that exports would not know this module's class")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Subclassed, r"mine \(Subclassed\) is neither Sequential nor Functional"),
        (
            lambda: keras.Sequential([keras.Input((6,)), Noise(name="noise"), L.Dense(3)]),
            r"noise \(Noise\) cannot be called there: its numbers differ there",
        ),
    ],
)
def test_a_form_made_of_layers_is_refused_by_what_stands_against_it(make, why, tmp_path):
    model = make()
    model(np.ones((2, 6), "float32"))
    with pytest.raises(BadInput, match=f"formats=compact: cannot be written from layers of tf_keras: {why}"):
        dlth.export(model, tmp_path / "out", formats=("onnx", "compact"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="the process that exports would not know this module's class")
def test_a_subclassed_network_is_exported_in_the_forms_that_need_no_layers(tmp_path):
    model = Subclassed()
    model(np.ones((2, 6), "float32"))
    forms = ("plain", "packed", "onnx", "tflite_float32")
    assert set(dlth.export(model, tmp_path, formats=forms, measure_latency=False)["forms"]) == set(forms)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a network of tf_keras around the model")
@pytest.mark.parametrize(
    ("activation", "served"), [("softmax", "probabilities"), ("relu", "raw"), (None, "classifier")]
)
def test_the_end_of_a_model_without_a_twin_in_tf_keras_decides_the_task(activation, served):
    from dlth_tf.deploy.keras3.network import in_tf_keras
    from dlth_tf.deploy.source import Source

    model = keras.Sequential([keras.Input((6,)), Own(name="own"), L.Dense(3, activation, name="out")])
    assert Source(in_tf_keras(model)).decision[0] == served


def test_a_ticket_that_is_not_removed_yet_is_refused_before_anything_is_written(tmp_path):
    model = mlp()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5))
    with pytest.raises(BadInput, match="its weights are not removed yet"):
        dlth.export(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(BACKEND == "tensorflow", reason="on TensorFlow the model itself is exported")
def test_a_class_that_the_process_on_tensorflow_does_not_know_is_named(tmp_path):
    class Unknown(L.Layer):
        def call(self, x):
            return 2 * x

    model = keras.Sequential([keras.Input((6,)), Unknown(), L.Dense(3)])
    with pytest.raises(BadInput, match=r"cannot be built anew on TensorFlow to export it: .*Unknown"):
        dlth.export(model, tmp_path / "out")


@pytest.mark.skipif(BACKEND == "tensorflow", reason="on TensorFlow the model itself is exported")
def test_without_tensorflow_an_export_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="is exported by TensorFlow, which is not installed: pip install tensorflow"):
        dlth.export(mlp(), tmp_path / "out")
