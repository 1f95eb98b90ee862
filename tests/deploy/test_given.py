"""Arguments beside the network become arrays and texts, or are refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.deploy import Examples
from dlth_tf.deploy.given import given_arrays, given_examples, given_names
from dlth_tf.errors import BadInput

pytestmark = pytest.mark.usefixtures("checked_here")
FAST = {"measure_latency": False}
INPUTS = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
LABELS = np.arange(8) % 3
SET = tf.data.Dataset.from_tensor_slices(INPUTS).batch(4)


def representative() -> Iterator[list[np.ndarray]]:
    yield from ([INPUTS[index : index + 1]] for index in range(8))


def network(kind: Any) -> Any:
    return kind.Sequential([kind.Input((6,)), kind.layers.Dense(3, name="head")])


ALLOWED = "must be an array, or a mapping from the name of each input to its array"
EITHER = f"{ALLOWED}; with labels, Examples"


@pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"examples": (INPUTS, LABELS)}, f"examples=a tuple: {EITHER}"),
        ({"examples": SET}, f"examples=.*Dataset.*: {EITHER}"),
        ({"examples": "mine.npz"}, f"examples='mine.npz': {EITHER}"),
        ({"examples": {"images": SET}}, r"examples\['images'\]=.*Dataset.*: must be an array"),
        ({"examples": Examples(SET, LABELS, "mine")}, f"examples=.*Dataset.*: {EITHER}"),
        (
            {"examples": Examples(INPUTS, SET, "mine")},
            "examples=.*Dataset.*: must have labels that are an array of num",
        ),
        (
            {"examples": Examples(INPUTS, ["a"] * 8, "mine")},
            "examples=.*: must have labels that are an array of numbers",
        ),
        ({"validation": (INPUTS, LABELS)}, f"validation=a tuple: {EITHER}"),
        ({"calibration": representative}, f"calibration=.*function.*: {ALLOWED}$"),
        ({"calibration": representative()}, f"calibration=.*generator.*: {ALLOWED}$"),
        ({"calibration": SET}, f"calibration=.*Dataset.*: {ALLOWED}$"),
        ({"label_names": [0, 1, 2]}, r"label_names=\[0, 1, 2\]: must be a list of texts, one for each class"),
        ({"label_names": "abc"}, "label_names='abc': must be a list of texts"),
        ({"label_names": 3}, "label_names=3: must be a list of texts"),
        ({"batch": "1"}, "batch='1': must be a whole number, at least 1"),
        ({"batch": 2.0}, "batch=2.0: must be a whole number, at least 1"),
        ({"batch": 0}, "batch=0: must be a whole number, at least 1"),
        ({"image_size": 32}, "image_size=32: must be whole numbers"),
    ],
)
def test_what_is_not_taken_is_one_sentence(kind, given, reason, tmp_path):
    with pytest.raises(BadInput, match=f"^{reason}") as refused:
        dlth_tf.export(network(kind), tmp_path / "out", **given, **FAST)
    assert "\n" not in str(refused.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])
def test_lists_and_tensors_are_arrays(kind, tmp_path):
    examples = Examples(tf.constant(INPUTS), LABELS.tolist(), "mine")
    model = network(kind)
    report = dlth_tf.export(model, tmp_path, examples=examples, label_names=np.array(["a", "b", "c"]), **FAST)
    assert report["verification"]["accuracy"] == np.mean(np.argmax(model(INPUTS), -1) == LABELS)


def test_a_batch_size_may_be_a_number_of_numpy(tmp_path):
    report = dlth_tf.export(network(tf_keras), tmp_path, batch=np.int64(2), **FAST)
    assert report["served"]["inputs"]["images"]["shape"] == [2, 6]


def test_arrays_are_kept_as_they_are():
    assert given_arrays("calibration", INPUTS) is INPUTS
    assert given_examples("examples", None) is None and given_names(None) is None
    named = given_arrays("calibration", {"left": [[1, 2], [3, 4]], "right": INPUTS})
    assert named["left"].shape == (2, 2) and named["right"] is INPUTS
    assert given_arrays("examples", ["a", "bc"]).tolist() == ["a", "bc"]


@pytest.mark.parametrize("value", [3, [[1], [2, 3]], {1, 2}, None, keras.Input((3,))])
def test_what_is_no_array_is_refused(value):
    with pytest.raises(BadInput, match=r"^calibration="):
        given_arrays("calibration", value)
