"""A SavedModel whose weights are constants, such as a compact export."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.data import Normalization
from dlth_tf.deploy.compaction import compact
from dlth_tf.deploy.savedmodel import constant_weights
from dlth_tf.deploy.savedmodel.constant_weights import constant_function, save_constant
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving, expected_outputs
from dlth_tf.errors import BadInput
from tests.deploy.pruned import pruned

SERVING = Serving(Normalization(1 / 255, (0.5,), (0.25,)), ("zero", "one", "two", *"3456789"))


def raw(model: tf_keras.Model, number: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, *model.input_shape[1:]), dtype=np.uint8)


def served(folder, images: np.ndarray) -> dict[str, np.ndarray]:
    loaded = tf.saved_model.load(os.fspath(folder))
    outputs = loaded.signatures["serving_default"](images=tf.constant(images))
    return {name: value.numpy() for name, value in outputs.items()}


def size(folder) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_it_answers_as_the_plain_form_does_and_is_smaller(tmp_path):
    model = pruned("lenet5", "filter")
    save_plain(model, tmp_path / "plain", SERVING)
    save_constant(model, tmp_path / "constant", SERVING, "compact")
    expected, outputs = (served(tmp_path / name, raw(model)) for name in ("plain", "constant"))
    assert set(outputs) == set(expected) == {"logits", "probabilities", "class", "label"}
    assert np.abs(outputs["logits"] - expected["logits"]).max() <= 1e-5 * np.abs(expected["logits"]).max()
    assert np.array_equal(outputs["label"], expected["label"])
    assert size(tmp_path / "constant") < size(tmp_path / "plain")


def test_it_holds_no_variables_and_batch_norms_are_folded(tmp_path):
    save_constant(pruned("resnet8", "filter"), tmp_path, Serving(), "compact")
    loaded = tf.saved_model.load(os.fspath(tmp_path))
    assert not loaded.signatures["serving_default"].captured_inputs
    operations = [operation.type for operation in loaded.signatures["serving_default"].graph.get_operations()]
    function = loaded.signatures["serving_default"].graph.as_graph_def().library.function
    operations += [node.op for part in function for node in part.node_def]
    assert "Conv2D" in operations and not any("BatchNorm" in kind or "Variable" in kind for kind in operations)


def test_the_kernels_of_a_large_network_are_variables(tmp_path, monkeypatch):
    monkeypatch.setattr(constant_weights, "LARGEST", 1000)
    monkeypatch.setattr(constant_weights, "SMALL", 500)
    model = pruned("resnet8", "filter")
    save_constant(model, tmp_path, SERVING, "compact")
    loaded = tf.saved_model.load(os.fspath(tmp_path))
    shapes = [layer.kernel.shape.as_list() for layer in model.layers if hasattr(layer, "kernel")]
    kernels = [shape for shape in shapes if 4 * np.prod(shape) > 500]
    assert sorted(variable.shape.as_list() for variable in loaded.kernels) == sorted(kernels)
    assert 0 < len(kernels) < len(shapes), "small ones stay constants"
    graph = (tmp_path / "saved_model.pb").stat().st_size
    assert graph < 0.6 * size(tmp_path) and b"BatchNorm" not in (tmp_path / "saved_model.pb").read_bytes()
    expected = expected_outputs(model, SERVING, {"images": raw(model)})["logits"]
    assert np.abs(served(tmp_path, raw(model))["logits"] - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_network_too_large_for_one_message_has_no_function_of_constants(monkeypatch):
    model = pruned("lenet5", "filter")
    assert constant_function(model, Serving(), "onnx") is not None
    monkeypatch.setattr(constant_weights, "LIMIT", 1000)
    assert constant_function(model, Serving(), "onnx") is None


def test_what_cannot_be_a_constant_is_refused_under_the_forms_name(tmp_path):
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0, 1], [0.5, 2.0]), 1.0)

    class Looked(tf_keras.layers.Layer):
        def call(self, inputs):
            return inputs * table.lookup(tf.cast(inputs[..., 0], tf.int32))[..., None]

    inputs = tf_keras.Input((4,))
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(3)(Looked()(inputs)))
    with pytest.raises(BadInput, match="formats=compact: cannot hold this network"):
        save_constant(model, tmp_path / "out", Serving(), "compact")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "vgg11", "lenet_300_100"])
def test_the_export_itself_can_be_converted_to_onnx(name, tmp_path):
    tf2onnx, onnxruntime = pytest.importorskip("tf2onnx"), pytest.importorskip("onnxruntime")
    model = pruned(name, "filter")
    save_constant(compact(model), tmp_path, Serving(), "compact")
    serve = tf.saved_model.load(os.fspath(tmp_path)).signatures["serving_default"]
    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")
    converted, _ = tf2onnx.convert.from_function(tf.function(lambda images: serve(images=images)["logits"]), [spec])
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((5, *model.input_shape[1:]), np.float32)
    (logits,) = session.run(None, {"images": images})
    assert np.abs(logits - model(images)).max() <= 1e-5 * np.abs(logits).max()
