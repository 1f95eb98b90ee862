"""Fully connected layers are stored sparse where a kernel takes sparse weights and is faster with them."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.lite.python import schema_py_generated as schema

from dlth_tf.data import Normalization
from dlth_tf.deploy.serving import Serving
from dlth_tf.deploy.tflite import sparse_layers
from dlth_tf.deploy.tflite.convert import write_tflite
from dlth_tf.randomness import generator
from tests.deploy.pruned import lively
from tests.deploy.tflite.networks import run, ticketed

L = tf_keras.layers
NORMALIZATION = Normalization(1 / 255, (0.5,), (0.25,))


def operators(data: bytes) -> list[str]:
    return [entry["op_name"] for entry in tf.lite.Interpreter(model_content=data)._get_ops_details()]


@pytest.mark.parametrize(("sparsity", "form"), [(0.5, {}), (0.95, {"fc1": "random", "fc2": "random"})])
def test_random_zeros_are_stored_sparse_where_that_pays(sparsity, form, tmp_path):
    model = ticketed("weight", sparsity)
    sparse = write_tflite(model, tmp_path, serving=Serving()).sparse
    assert sparse == {"float32": form, "float16": {}}  # no int8 without calibration images
    assert sorted(os.listdir(tmp_path)) == ["float16.tflite", "float32.tflite"]
    data = (tmp_path / "float32.tflite").read_bytes()
    assert "DENSIFY" not in operators(data) and operators(data).count("FULLY_CONNECTED") == 3
    images = generator(0, "inputs").random((3, *model.input_shape[1:]), np.float32)
    assert np.allclose(run(tmp_path / "float32.tflite", images)["logits"], model(images), atol=1e-5)


def convolutional() -> tf_keras.Model:
    x = inputs = L.Input((6, 6, 3))
    x = L.Conv2D(8, 3, name="conv")(x)
    x = L.Dense(8, name="positions")(x)
    model = lively(tf_keras.Model(inputs, L.Dense(4, name="fc")(L.Flatten()(x))))
    for name in ("conv", "positions"):
        model.get_layer(name).kernel.assign(tf.zeros_like(model.get_layer(name).kernel))
    return model


def test_only_layers_that_see_one_vector_per_image_become_sparse(tmp_path):
    sparse = write_tflite(convolutional(), tmp_path, serving=Serving()).sparse
    assert sparse["float32"] == {}, "the sparse kernel is slower than the dense one on many positions"


def test_buffers_are_aligned_as_kernels_require(tmp_path):
    write_tflite(ticketed("block:4x1", 0.9), tmp_path, serving=Serving(NORMALIZATION))
    data = (tmp_path / "float32.tflite").read_bytes()
    root = schema.Model.GetRootAs(data, 0)
    buffers = [root.Buffers(index) for index in range(root.BuffersLength())]
    buffers = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    start = np.frombuffer(data, np.uint8).ctypes.data
    assert len(buffers) > 6 and {(buffer.ctypes.data - start) % sparse_layers.ALIGNMENT for buffer in buffers} == {0}


@pytest.mark.fast_cases("1-257", "3-65536")
@pytest.mark.parametrize("columns", [256, 257, 65_536, 65_537])
@pytest.mark.parametrize("rows", [1, 3])
def test_long_rows_keep_their_places(columns, rows):
    """Column indices are stored in 8, 16 or 32 bits."""
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
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.allclose(outputs, inputs[:, [0]] + 2 * inputs[:, [-1]])
