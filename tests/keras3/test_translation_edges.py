"""Networks of Keras 3 at the edges of translation: of any size, with tables, shared layers, quantized ones."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import dlth_tf as dlth
from dlth_tf.errors import BadInput
from tests.keras3.networks import BACKEND, L

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="translated in the process that exports, on TensorFlow")
ops, Input, Model = keras.ops, keras.Input, keras.Model


def translation(model: Any, examples: Any = None) -> Any:
    from dlth_tf.deploy.keras3.translation import translated

    return translated(model, examples)


def export(model: Any, folder: Any, *formats: str, **options: Any) -> dict:
    return dlth.export(model, folder, formats=formats or ("plain",), measure_latency=False, **options)


def served(folder: Any, form: str = "plain", **inputs: Any) -> dict:
    return tf.saved_model.load(str(folder / form)).signatures["serving_default"](
        **{name: tf.constant(value) for name, value in inputs.items()}
    )


def of_any_size() -> keras.Model:
    """Windows that are empty below 46 pixels."""
    x = inputs = Input((None, None, 3))
    for _ in range(4):
        x = L.AveragePooling2D(3, strides=1)(L.Conv2D(4, 3, strides=1 + (_ < 2), activation="relu")(x))
    return Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


@pytest.mark.slow
def test_a_network_of_any_size_is_compared_at_a_size_that_is_large_enough(tmp_path):
    from dlth_tf.deploy.keras3.probe import random_inputs

    model = of_any_size()
    assert random_inputs(model).shape == (4, 64, 64, 3)
    assert translation(model).whole == {}
    assert list(export(model, tmp_path, "plain", "compact")["forms"]) == ["plain", "compact"]


@pytest.mark.slow_cases("MobileNetV3Small")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["InceptionV3", "DenseNet121", "EfficientNetB0", "MobileNetV3Small"])
def test_applications_without_a_size_are_translated_layer_by_layer(name):
    model = getattr(keras.applications, name)(include_top=False, weights=None, pooling="avg")
    assert translation(model).whole == {}


def adapted_words() -> keras.layers.Layer:
    layer = L.TextVectorization(output_sequence_length=3)
    layer.adapt(["a b c", "b b"])
    return layer


TABLES = {
    "words": (lambda: L.StringLookup(vocabulary=["a", "b"]), (2,), "string", [["a", "b"], ["c", "b"]]),
    "texts": (adapted_words, (1,), "string", [["a b b"], ["c"]]),
    "numbers": (lambda: L.IntegerLookup(vocabulary=[3, 5]), (2,), "int64", [[3, 5], [7, 5]]),
    "hashes": (lambda: L.Hashing(5), (2,), "string", [["a", "b"], ["c", "b"]]),
}


@pytest.mark.slow_cases("texts", "hashes")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["texts", "numbers", "words", "hashes"])
def test_layers_with_tables_are_exported(name, tmp_path):
    layer, shape, dtype, x = TABLES[name]
    inputs = Input(shape, dtype=dtype)
    model = Model(inputs, L.Dense(3)(L.Flatten()(L.Embedding(60, 2)(layer()(inputs)))))
    export(model, tmp_path)
    tensor = tf.constant(x, dtype)
    (key,) = tf.saved_model.load(str(tmp_path / "plain")).signatures["serving_default"].structured_input_signature[1]
    np.testing.assert_allclose(served(tmp_path, **{key: tensor})["logits"], model(tensor), atol=1e-6)


def towers() -> keras.Model:
    shared = L.Dense(8, name="shared")
    a, b, inputs = Input((8,)), Input((8,)), Input((8,))
    first, second = Model(a, L.Dense(4)(shared(a)), name="first"), Model(b, L.Dense(4)(shared(b)), name="second")
    return Model(inputs, L.Dense(3, name="end")(L.Concatenate()([first(inputs), second(inputs), shared(inputs)])))


@pytest.mark.slow
def test_a_layer_that_nested_models_share_stays_one_layer_with_its_ticket(tmp_path):
    model = towers()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    done = translation(model)
    assert done.network.count_params() == model.count_params()
    report = export(model, tmp_path, ticket=dlth.masking.chosen_ticket(model))
    assert report["parameters"]["removed"] == dlth.masking.chosen_ticket(model).removed


def test_operations_have_their_names_and_precision():
    x = inputs = Input((8,))
    x = L.Add()([x, L.Dense(8)(x)])
    x = x + L.Dense(8)(x)
    x = L.ReLU()(ops.relu(x)) * L.Dense(8)(x) - L.Subtract()([x, L.Dense(8)(x)])
    model = Model(inputs, L.Dense(3)(x))
    for _ in range(2):
        names = [layer.name for layer in translation(model).network.layers]
        assert len(set(names)) == len(names) and set(names) >= {layer.name for layer in model.layers[1:]}
    inputs = Input((8,))
    half = ops.relu(L.Dense(8, dtype="mixed_bfloat16")(inputs)) * 2.1 + 0.3
    assert translation(Model(inputs, L.Dense(3, dtype="float32")(half))).whole == {}


def pruned(first: Any) -> keras.Model:
    conv = {"activation": "relu"}
    model = keras.Sequential(
        [
            Input((16, 16, 3)),
            first,
            L.Conv2D(16, 3, **conv),
            L.Conv2D(16, 3, **conv),
            L.GlobalAveragePooling2D(),
            L.Dense(3),
        ]
    )
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75, granularity="filter", dense_layers="last"), remove=True)
    return model


def test_one_layer_without_a_twin_is_named_and_the_others_are_compacted(tmp_path, caplog):
    caplog.set_level(logging.INFO, "dlth_tf")
    model = pruned(L.Resizing(12, 12, antialias=True, name="smooth"))
    report = export(model, tmp_path, "compact")
    assert report["forms"]["compact"]["parameters"] < model.count_params() / 4
    assert "smooth is exported as it is, and stays whole: tf_keras' layer knows no antialias=True" in caplog.text


@pytest.mark.slow
def test_a_layer_as_activation_and_a_dense_layer_with_lora_are_called_as_they_are(tmp_path):
    lora = L.Dense(8, name="lora")
    model = keras.Sequential([Input((4,)), L.Dense(6, activation=L.PReLU(), name="own"), lora, L.Dense(3)])
    lora.enable_lora(2)
    lora.lora_kernel_b.assign(np.ones(lora.lora_kernel_b.shape))
    assert set(translation(model).whole) == {"own", "lora"}
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    export(model, tmp_path, examples=x)
    np.testing.assert_allclose(served(tmp_path, images=x)["logits"], model(x), atol=1e-5)


@pytest.mark.parametrize("mode", ["int8", pytest.param("int4", marks=pytest.mark.slow)])
def test_quantized_layers_are_called_as_they_are(mode):
    model = keras.Sequential([Input((8,)), L.Dense(16, "relu", name="a"), L.Dense(3, name="b")])
    model.quantize(mode)
    assert set(translation(model).whole) == {"a", "b"}


def test_whole_numbers_without_positions_and_as_floating_point_numbers_are_examples():
    inputs = Input((), dtype="int32")
    scalars = Model(inputs, L.Dense(3)(L.Embedding(9, 4)(inputs)))
    floats = keras.Sequential([Input((8,)), L.Embedding(50, 8), L.GlobalAveragePooling1D(), L.Dense(3)])
    assert translation(scalars).whole == translation(floats).whole == {}


def test_a_state_between_calls_is_refused_and_stays_as_it_was(tmp_path):
    inputs = Input(batch_shape=(2, 5, 3))
    model = Model(inputs, L.Dense(3)(L.LSTM(4, stateful=True, name="keeps")(inputs)))
    model.predict(np.ones((2, 5, 3), "float32"), verbose=0)
    before = [ops.convert_to_numpy(state) for state in model.get_layer("keeps").states]
    with pytest.raises(BadInput, match=r"keeps a state between calls \(layer keeps\)"):
        export(model, tmp_path / "out")
    assert all(
        (a == ops.convert_to_numpy(b)).all() for a, b in zip(before, model.get_layer("keeps").states, strict=True)
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_ragged_input_is_served_dense_with_a_warning(tmp_path, caplog):
    inputs = Input((None,), dtype="int32", ragged=True, name="words")
    model = Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(L.Embedding(20, 8)(inputs))))
    export(model, tmp_path / "out")
    (warning,) = [text for logger, level, text in caplog.record_tuples if level == logging.WARNING and "dl" in logger]
    assert "takes ragged tensors (words), and is served with dense ones" in warning


class Own(keras.Model):
    """A subclassed model of inputs in any structure."""

    def __init__(self, join: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.join, self.end = join, L.Dense(3, dtype=kwargs.get("dtype"))

    def call(self, x: Any) -> Any:
        return self.end(self.join(x))


X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
STRUCTURES = {
    "a dictionary": ({"u": X, "v": 2 * X}, lambda x: ops.concatenate([x["u"], x["v"]], -1), ("u", "v")),
    "a list": ([X, 2 * X], lambda x: ops.concatenate(x, -1), ("input_1", "input_2")),
    "half precision": (X, lambda x: x, ("images",)),
}


@pytest.mark.fast_cases("a dictionary")
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_subclassed_model_takes_the_inputs_that_it_was_built_with(name, tmp_path):
    x, join, names = STRUCTURES[name]
    half = name == "half precision"
    model = Own(join, **({"dtype": "mixed_bfloat16"} if half else {}))
    model(x)
    export(model, tmp_path)
    given = dict(zip(names, tf.nest.flatten(x), strict=True))
    np.testing.assert_allclose(served(tmp_path, **given)["logits"], model(x), atol=0.05 if half else 1e-5)


@pytest.mark.slow
def test_examples_say_that_a_subclassed_model_takes_whole_numbers(tmp_path):
    class Words(Own):
        def __init__(self):
            super().__init__(lambda x: ops.mean(x, 1))
            self.embed = L.Embedding(10, 4)

        def call(self, x):
            return super().call(self.embed(x))

    model = Words()
    x = np.arange(10, dtype="int32").reshape(2, 5)
    model(x)
    export(model, tmp_path, examples=x)
    np.testing.assert_allclose(served(tmp_path, images=x)["logits"], model(x), atol=1e-5)


def test_a_subclassed_model_of_several_arguments_is_refused(tmp_path):
    class Two(keras.Model):
        def __init__(self):
            super().__init__(name="two")
            self.end = L.Dense(3)

        def call(self, x, y):
            return self.end(x + y)

    model = Two()
    model(X, X)
    with pytest.raises(BadInput, match=r"model=two: takes several arguments \(x, y\): let it take one list or dict"):
        export(model, tmp_path / "out")
