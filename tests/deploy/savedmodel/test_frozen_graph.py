"""A frozen graph holds networks whose inputs are not read, or are outputs themselves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.errors import BadInput
from tests.deploy.conftest import checked_here as checked_here

KERASES = pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])
FORMS = ("compact", "packed")
FAST = {"measure_latency": False}
pytestmark = pytest.mark.usefixtures("checked_here")


def inputs(kind: Any) -> tuple[Any, Any]:
    return kind.Input((1,), dtype="int64", name="key"), kind.Input((4,), name="numbers")


def unread(kind: Any) -> Any:
    key, numbers = inputs(kind)
    return kind.Model([key, numbers], kind.layers.Dense(3)(numbers))


def keyed(kind: Any, name: str) -> Any:
    key, numbers = inputs(kind)
    return kind.Model({"key": key, "numbers": numbers}, {"score": kind.layers.Dense(1)(numbers), name: key})


def given() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {"key": draw.integers(0, 99, (5, 1)), "numbers": draw.normal(size=(5, 4)).astype(np.float32)}


def served(path: Any) -> dict[str, np.ndarray]:
    signature = tf.saved_model.load(f"{path}").signatures["serving_default"]
    return {name: value.numpy() for name, value in signature(**given()).items()}


@KERASES
def test_an_input_that_nothing_reads_stays_an_input(kind, tmp_path):
    model = unread(kind)
    dlth_tf.export(model, tmp_path, formats=FORMS, **FAST)
    expected = np.asarray(model(list(given().values())))
    for form in FORMS:
        assert np.allclose(served(tmp_path / form)["logits"], expected, atol=1e-5)


@pytest.mark.fast_cases("key-tf_keras", "id-keras")
@KERASES
@pytest.mark.parametrize("name", ["key", "id"])
def test_an_input_that_is_an_output_is_returned_as_it_is(kind, name, tmp_path):
    model = keyed(kind, name)
    dlth_tf.export(model, tmp_path, formats=FORMS, **FAST)
    expected = np.asarray(model(given())["score"])
    for form in FORMS:
        found = served(tmp_path / form)
        assert np.array_equal(found[name], given()["key"]) and np.allclose(found["score"], expected, atol=1e-5)


def test_onnx_takes_inputs_that_are_not_read_and_outputs_that_are_inputs(tmp_path):
    for place, model, names in ((0, unread(tf_keras), []), (1, keyed(tf_keras, "id"), ["id"])):
        dlth_tf.export(model, tmp_path / f"{place}", formats=["onnx"], **FAST)
        session = onnxruntime.InferenceSession(f"{tmp_path}/{place}/onnx/model.onnx")
        assert {each.name for each in session.get_inputs()} == {"key", "numbers"}
        assert all(np.array_equal(found, given()["key"]) for found in session.run(names or None, given()) if names)


@pytest.mark.parametrize(("name", "autoencoder"), [("key", False), ("images", True)])
def test_onnx_refuses_one_name_for_an_input_and_an_output(name, autoencoder, tmp_path):
    images = tf_keras.Input((6,))
    head = tf_keras.layers.Dense(6, "sigmoid", name="images")
    model = tf_keras.Model(images, head(images)) if autoencoder else keyed(tf_keras, "key")
    with pytest.raises(BadInput, match=f"formats=onnx: cannot hold this network: {name} is the name of an input"):
        dlth_tf.export(model, tmp_path / "out", formats=["plain", "onnx"], **FAST)
    assert not (tmp_path / "out").exists()
