"""write_tflite: files that give what the Keras model gives, with sparse weights where a kernel takes them."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.lite.python import schema_py_generated as schema

import dlth_tf as dlth
from dlth_tf.data import Normalization
from dlth_tf.deploy.compaction import compact
from dlth_tf.deploy.tflite import convert, sparse_layers
from dlth_tf.deploy.tflite.convert import write_tflite
from dlth_tf.deploy.tflite.sparse_formats import best_format, decode, encode
from dlth_tf.errors import BadInput
from dlth_tf.models import build
from dlth_tf.randomness import generator
from tests.deploy.pruned import difference, lively, pruned

L = tf_keras.layers
NORMALIZATION = Normalization(1 / 255, (0.5,), (0.25,))


def ticketed(granularity: str, sparsity: float) -> tf_keras.Model:
    """LeNet-300-100 for 8x8 images, all but the last layer sparse."""
    wrapped = dlth.wrap(lively(build("lenet_300_100", (8, 8, 1), 10, 0)))
    ticket = dlth.random_ticket(wrapped, sparsity, granularity=granularity, dense_layers="last")
    dlth.apply_ticket(wrapped, ticket, remove=True)
    return dlth.strip(wrapped)


def pictures(model: tf_keras.Model, count: int) -> np.ndarray:
    return generator(0, "pictures").integers(0, 256, (count, *model.input_shape[1:]), dtype=np.uint8)


def run(path: os.PathLike[str], images: np.ndarray, interpreter: type = tf.lite.Interpreter) -> dict[str, np.ndarray]:
    return interpreter(model_path=os.fspath(path)).get_signature_runner("serving_default")(images=images)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sparse network, its three files, and the report."""
    model, folder = ticketed("block:4x1", 0.9), tmp_path_factory.mktemp("tflite")
    return model, folder, write_tflite(model, folder, normalization=NORMALIZATION, calibration=pictures(model, 32))


def test_the_files_take_raw_images_in_any_number_and_give_what_the_model_gives(written):
    model, folder, report = written
    assert sorted(os.listdir(folder)) == ["float16.tflite", "float32.tflite", "int8.tflite"]
    images = pictures(model, 50)[32:]
    logits = model(NORMALIZATION(images)).numpy()
    for kind, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("int8", 0.2)):
        for some in (images[:1], images[:7], images):
            found = run(folder / f"{kind}.tflite", some)
            assert np.allclose(found["logits"], logits[: len(some)], atol=tolerance * np.abs(logits).max())
            assert np.allclose(found["probabilities"], tf.nn.softmax(found["logits"]), atol=0.02)
            assert found["class"].tolist() == found["logits"].argmax(1).tolist()
        assert report[f"{kind}.tflite"]["bytes"] == (folder / f"{kind}.tflite").stat().st_size
        assert (
            report[f"{kind}.tflite"]["max_difference"] <= tolerance * np.abs(logits).max()
            and report[f"{kind}.tflite"]["same_class"] >= 0.8
        )


def test_blocks_are_stored_as_blocks_in_float32_alone(written):
    model, _, report = written
    assert report["float32.tflite"]["sparse"] == {"fc1": "1x4 blocks", "fc2": "1x4 blocks"}
    assert report["float16.tflite"]["sparse"] == report["int8.tflite"]["sparse"] == {}
    assert report["float32.tflite"]["bytes"] < 0.3 * 4 * model.count_params()


def operators(data: bytes) -> list[str]:
    return [entry["op_name"] for entry in tf.lite.Interpreter(model_content=data)._get_ops_details()]


@pytest.mark.parametrize(("sparsity", "form"), [(0.5, {}), (0.95, {"fc1": "random", "fc2": "random"})])
def test_random_zeros_are_stored_sparse_where_that_pays(sparsity, form, tmp_path):
    model = ticketed("weight", sparsity)
    report = write_tflite(model, tmp_path, normalization=None, calibration=None)
    assert report["float32.tflite"]["sparse"] == form and report["float32.tflite"]["max_difference"] < 1e-5
    assert report["int8.tflite"] == {"skipped": "there are no images to calibrate it with"}
    assert sorted(os.listdir(tmp_path)) == ["float16.tflite", "float32.tflite"]
    data = (tmp_path / "float32.tflite").read_bytes()
    assert "DENSIFY" not in operators(data) and operators(data).count("FULLY_CONNECTED") == 3
    images = generator(0, "inputs").random((3, *model.input_shape[1:]), np.float32)
    assert np.allclose(run(tmp_path / "float32.tflite", images)["logits"], model(images), atol=1e-4)


def convolutional() -> tf_keras.Model:
    x = inputs = L.Input((6, 6, 3))
    x = L.Conv2D(8, 3, name="conv")(x)
    x = L.Dense(8, name="positions")(x)
    model = lively(tf_keras.Model(inputs, L.Dense(4, name="fc")(L.Flatten()(x))))
    for name in ("conv", "positions"):
        model.get_layer(name).kernel.assign(tf.zeros_like(model.get_layer(name).kernel))
    return model


def test_only_layers_that_see_one_vector_per_image_become_sparse(tmp_path):
    report = write_tflite(convolutional(), tmp_path, normalization=None, calibration=None)
    assert report["float32.tflite"]["sparse"] == {}, "the sparse kernel is slower than the dense one on many positions"


def test_a_file_that_differs_from_the_model_is_refused_and_not_written(tmp_path, monkeypatch):
    def damaged(matrix, block):
        sparse = encode(matrix, block)
        sparse.values[0] += 1
        return sparse

    monkeypatch.setattr(sparse_layers, "encode", damaged)
    with pytest.raises(RuntimeError, match=r"the logits of float32\.tflite differ from the model's by"):
        write_tflite(ticketed("weight", 0.95), tmp_path, normalization=None, calibration=None)
    assert not os.listdir(tmp_path)


def test_a_file_that_does_not_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "sparsify", lambda data: (b"TFL3" + data[:100], {}))
    with pytest.raises(RuntimeError, match=r"float32\.tflite does not run"):
        write_tflite(ticketed("weight", 0.95), tmp_path, normalization=None, calibration=None)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("shape", [(0, 8, 8, 1), (4, 8, 8), (4, 9, 8, 1)])
def test_calibration_images_of_another_shape_are_refused(written, shape, tmp_path):
    with pytest.raises(BadInput, match=r"calibration=\[.*\]: must hold images of shape \[8, 8, 1\]"):
        write_tflite(written[0], tmp_path / "out", normalization=NORMALIZATION, calibration=np.zeros(shape, np.uint8))
    assert not (tmp_path / "out").exists()


def test_buffers_lie_where_kernels_may_read_them(written):
    data = (written[1] / "float32.tflite").read_bytes()
    root = schema.Model.GetRootAs(data, 0)
    buffers = [
        root.Buffers(place).DataAsNumpy() for place in range(root.BuffersLength()) if root.Buffers(place).DataLength()
    ]
    start = np.frombuffer(data, np.uint8).ctypes.data
    assert len(buffers) > 6 and {(buffer.ctypes.data - start) % sparse_layers.ALIGNMENT for buffer in buffers} == {0}


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 99), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_every_matrix_comes_back_from_either_format(rows, columns, seed, sparsity):
    random = generator(seed, "matrix")
    matrix = random.normal(size=(rows, 4 * columns)).astype(np.float32) * (
        random.random((rows, 4 * columns)) >= sparsity
    )
    for block in (1, 4):
        sparse = encode(matrix, block)
        assert np.array_equal(decode(sparse, matrix.shape), matrix)
        assert len(sparse.values) == block * len(sparse.indices) and sparse.segments[-1] == len(sparse.indices)
    assert len(encode(matrix, 1).values) == np.count_nonzero(matrix)


@pytest.mark.parametrize(
    ("zeros", "granularity", "expected"),
    [
        (0.9, "weight", 0),
        (0.94, "weight", 1),
        (0.98, "weight", 1),
        (0.65, "block", 0),
        (0.8, "block", 4),
        (0.98, "block", 4),
    ],
)
def test_the_format_is_the_one_that_the_kernels_are_fastest_with(zeros, granularity, expected):
    random, shape = generator(0, "zeros"), (200, 400)
    kept = (
        random.random(shape) >= zeros
        if granularity == "weight"
        else np.repeat(random.random((200, 100)) >= zeros, 4, 1)
    )
    assert best_format(kept.astype(np.float32)) == expected
    if granularity == "block":
        assert best_format(kept[:, :399].astype(np.float32)) in (0, 1), "399 inputs are no whole blocks"


@pytest.mark.parametrize("columns", [256, 257, 65_536, 65_537])
@pytest.mark.parametrize("rows", [1, 3])
def test_long_rows_keep_their_places(columns, rows):
    """The numbers of columns are stored in 8, 16 or 32 bits."""
    kernel = np.zeros((columns, rows), np.float32)
    kernel[0], kernel[-1] = 1, 2
    model = tf_keras.Sequential([L.Input((columns,)), L.Dense(rows, name="fc")])
    model.get_layer("fc").kernel.assign(kernel)
    data, sparse = sparse_layers.sparsify(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    assert list(sparse.values()) == ["random"]
    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    inputs = generator(0, "row").random((1, columns), np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.allclose(found, inputs[:, [0]] + 2 * inputs[:, [-1]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1", "vgg11", "lenet5", "lenet_300_100"])
def test_other_runtimes_agree(name, tmp_path):
    """LiteRT's own interpreter on the files, and ONNX Runtime on the compact model."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = compact(pruned(name, "filter"))
    channels = model.input_shape[-1]
    normalization = Normalization(1 / 255, (0.5,) * channels, (0.25,) * channels)
    images = pictures(model, 16)
    write_tflite(model, tmp_path, normalization=normalization, calibration=images)
    expected = model(normalization(images)).numpy()
    for kind, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("int8", 0.3)):
        found = run(tmp_path / f"{kind}.tflite", images, litert.Interpreter)
        assert np.abs(found["logits"] - expected).max() <= tolerance * np.abs(expected).max()


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
    (found,) = session.run(None, {"images": images})
    assert np.abs(found - whole(images)).max() <= 1e-5 * np.abs(found).max() and difference(whole, model) < 1e-5
