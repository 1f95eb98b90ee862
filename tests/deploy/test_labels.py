"""Labels of examples measure what a network returns, or are named as not used."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf
from dlth_tf.deploy import Examples
from dlth_tf.errors import BadInput

pytestmark = pytest.mark.usefixtures("checked_here")
layers = tf_keras.layers
FAST = {"measure_latency": False}


def one_number(activation: str | None) -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(1, activation)])


def signs(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    inputs = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def test_a_binary_classifier_of_one_sigmoid_has_accuracy_and_agreement(tmp_path):
    model, (inputs, labels) = one_number("sigmoid"), signs()
    report = dlth_tf.export(
        model,
        tmp_path,
        formats=["plain", "packed", "tflite_int8"],
        values="int8",
        examples=Examples(inputs, labels, "mine"),
        validation=Examples(inputs[:16], labels[:16], "others"),
        calibration=inputs,
        min_agreement=0.5,
        **FAST,
    )
    right = float(np.mean((model(inputs)[:, 0].numpy() > 0.5) == labels))
    assert report["verification"]["accuracy"] == report["forms"]["plain"]["accuracy"] == right and 0 < right < 1
    for form, facts in report["forms"].items():
        assert facts["mse"] is None and facts["agreement"] > 0.8, form
    assert report["forms"]["tflite_int8"]["validation"]["images"] == 16
    assert any("of 16 others have the same class" in note for note in report["forms"]["tflite_int8"]["notes"])


def test_labels_of_a_sigmoid_are_0_or_1(tmp_path):
    inputs, labels = signs()
    with pytest.raises(BadInput, match=r"examples=labels from 0 to 2: must be 0 or 1, since the network returns one"):
        dlth_tf.export(one_number("sigmoid"), tmp_path / "out", examples=Examples(inputs, 2 * labels, "mine"), **FAST)


def test_floating_point_targets_of_a_sigmoid_are_those_of_a_regression(tmp_path):
    inputs, labels = signs()
    given = Examples(inputs, labels.astype(np.float32), "mine")
    report = dlth_tf.export(one_number("sigmoid"), tmp_path, examples=given, **FAST)
    assert report["verification"]["accuracy"] is None and report["verification"]["mse"] > 0


@pytest.mark.parametrize("outputs", [1, 2])
def test_labels_that_measure_nothing_are_named(outputs, tmp_path):
    inputs, labels = signs()
    model = one_number(None) if outputs == 1 else tf_keras.Sequential([tf_keras.Input((6,)), layers.Dense(2, "relu")])
    report = dlth_tf.export(model, tmp_path, examples=Examples(inputs, labels, "mine"), **FAST)
    assert report["verification"]["accuracy"] is None
    (note,) = (note for note in report["forms"]["plain"]["notes"] if "labels" in note)
    assert note.startswith("The labels are not used: they are classes, and the network returns dense") and "raw" in note
