"""write_tflite: the outputs of the files are those of the Keras model."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.data import Normalization
from dlth_tf.deploy.compaction import compact
from dlth_tf.deploy.serving import Serving
from dlth_tf.deploy.tflite.convert import write_tflite
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator
from tests.deploy.pruned import difference, pruned
from tests.deploy.tflite.networks import pictures, run, ticketed

NORMALIZATION = Normalization(1 / 255, (0.5,), (0.25,))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sparse network, the folder of its three files, and the sparse layers of each."""
    model, folder = ticketed("block:4x1", 0.9), tmp_path_factory.mktemp("tflite")
    return (
        model,
        folder,
        write_tflite(model, folder, serving=Serving(NORMALIZATION), calibration=pictures(model, 32)).sparse,
    )


def test_the_files_take_raw_images_in_any_number_and_give_what_the_model_gives(written):
    model, folder, sparse = written
    assert set(sparse) == {"float16", "float32", "int8"}
    assert sorted(os.listdir(folder)) == ["float16.tflite", "float32.tflite", "int8.tflite"]
    images = pictures(model, 50)[32:]
    logits = model(NORMALIZATION(images)).numpy()
    for kind, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("int8", 0.2)):
        for some in (images[:1], images[:7], images):
            outputs = run(folder / f"{kind}.tflite", some)
            assert np.allclose(outputs["logits"], logits[: len(some)], atol=tolerance * np.abs(logits).max())
            assert np.allclose(outputs["probabilities"], tf.nn.softmax(outputs["logits"]), atol=0.02)
            assert outputs["class"].tolist() == outputs["logits"].argmax(1).tolist()
        assert np.mean(outputs["class"] == logits.argmax(1)) >= 0.8


def test_blocks_are_stored_as_blocks_in_float32_alone(written):
    model, folder, sparse = written
    assert sparse == {"float32": {"fc1": "1x4 blocks", "fc2": "1x4 blocks"}, "float16": {}, "int8": {}}
    assert (folder / "float32.tflite").stat().st_size < 0.3 * 4 * model.count_params()


@pytest.mark.parametrize("shape", [(0, 8, 8, 1), (4, 8, 8), (4, 9, 8, 1)])
def test_calibration_images_of_another_shape_are_refused(written, shape, tmp_path):
    with pytest.raises(BadInput, match=r"calibration=\[.*\]: must hold images of shape \[8, 8, 1\]"):
        write_tflite(
            written[0], tmp_path / "out", serving=Serving(NORMALIZATION), calibration=np.zeros(shape, np.uint8)
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow_cases("resnet8", "lenet5")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1", "vgg11", "lenet5", "lenet_300_100"])
def test_other_runtimes_agree(name, tmp_path):
    """Runs the files with LiteRT's own interpreter."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = compact(pruned(name, "filter"))
    channels = model.input_shape[-1]
    normalization = Normalization(1 / 255, (0.5,) * channels, (0.25,) * channels)
    images = pictures(model, 16)
    write_tflite(model, tmp_path, serving=Serving(normalization), calibration=images)
    expected = model(normalization(images)).numpy()
    for kind, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("int8", 0.3)):
        logits = run(tmp_path / f"{kind}.tflite", images, litert.Interpreter)["logits"]
        assert np.abs(logits - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1", "vgg11", "lenet5", "lenet_300_100"])
def test_a_compact_model_can_be_converted_to_onnx(name):
    tf2onnx, onnxruntime = pytest.importorskip("tf2onnx"), pytest.importorskip("onnxruntime")
    whole = pruned(name, "filter")
    model = compact(whole)
    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")
    converted, _ = tf2onnx.convert.from_function(tf.function(lambda images: model(images)), [spec])
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    images = generator(0, "inputs").random((5, *model.input_shape[1:]), np.float32)
    (logits,) = session.run(None, {"images": images})
    assert np.abs(logits - whole(images)).max() <= 1e-5 * np.abs(logits).max() and difference(whole, model) < 1e-5


@pytest.mark.fast_cases("LSTM")
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_recurrent_network_does_not_remember_the_call_before(kind, tmp_path):
    start = tf_keras.Input((2, 3))
    model = tf_keras.Model(start, tf_keras.layers.Dense(4)(getattr(tf_keras.layers, kind)(5)(start)))
    write_tflite(model, tmp_path, serving=Serving(batch=1), kinds=("float32",))
    call = tf.lite.Interpreter(str(tmp_path / "float32.tflite")).get_signature_runner("serving_default")
    for example in generator(0, "sequences").normal(0, 1, (3, 1, 2, 3)).astype(np.float32):
        assert np.allclose(call(images=example)["logits"], model(example), atol=1e-6)
    assert all(layer._could_use_gpu_kernel for layer in model.layers if isinstance(layer, tf_keras.layers.LSTM))


def two_inputs() -> tf_keras.Model:
    left, right = tf_keras.Input((6,), name="left"), tf_keras.Input((4,), name="right")
    x = tf_keras.layers.Concatenate()([tf_keras.layers.Dense(8)(left), tf_keras.layers.Dense(8)(right)])
    return tf_keras.Model([left, right], tf_keras.layers.Dense(3)(x))


def test_int8_is_calibrated_for_every_input(tmp_path):
    model = two_inputs()
    draw = np.random.default_rng(0)
    given = {"left": draw.random((64, 6), np.float32), "right": 100 * draw.random((64, 4), np.float32)}
    write_tflite(model, tmp_path, serving=Serving(), calibration=given, kinds=("int8",))
    call = tf.lite.Interpreter(str(tmp_path / "int8.tflite")).get_signature_runner("serving_default")
    expected = model([given["left"], given["right"]]).numpy()
    assert np.abs(call(**given)["logits"] - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given["left"], "calibration=left: must be one array for each input: left, right"),
        (lambda given: given | {"right": given["left"]}, r"calibration\['right'\]=.*: must hold images of shape \[4\]"),
        (lambda given: given | {"left": given["left"][:5]}, r"calibration=\[5, 8\]: must be arrays of one length"),
    ],
)
def test_calibration_that_does_not_fit_the_inputs_is_refused(change, message, tmp_path):
    given = {"left": np.zeros((8, 6), np.float32), "right": np.zeros((8, 4), np.float32)}
    with pytest.raises(BadInput, match=message):
        write_tflite(two_inputs(), tmp_path / "out", serving=Serving(), calibration=change(given))
    assert not (tmp_path / "out").exists()
