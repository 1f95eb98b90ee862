"""Exports a network of the zoo in one form, and compares a bare client's outputs with the Keras model's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tensorflow as tf
import tf_keras

from dlth_tf.deploy import Examples
from dlth_tf.deploy.export import export
from dlth_tf.deploy.interface import IMAGES, interface_of
from dlth_tf.errors import BadInput
from tests.deploy.zoo import ZOO
from tests.deploy.zoo.network import Network, inputs_of

FORMS = ("plain", "packed", "compact", "tflite", "onnx")
GRANULARITY = {"plain": "weight", "packed": "weight", "compact": "filter", "tflite": "filter", "onnx": "filter"}
Arrays = Mapping[str, np.ndarray]
Client = Callable[[Arrays], dict[str, np.ndarray]]


def exported(network: Network, model: tf_keras.Model, form: str, folder: Path) -> dict[str, Any]:
    """Exports the network in one form, as a user does who knows nothing but the network."""
    interface = interface_of(model)
    few = inputs_of(interface.inputs, network.most, max(16, network.fixed(form) or 0))
    # Without examples, the export finds some: once is enough, and fewer are faster.
    examples = None if form == "plain" else Examples(few if len(few) > 1 else few[IMAGES], None, "examples of the zoo")
    batch = network.fixed(form)
    return export(model, folder / "export", formats=(form,), measure_latency=False, batch=batch, examples=examples)


def clients(form: str, folder: Path) -> dict[str, Client]:
    """Loads what was exported with TensorFlow alone: a client for each file."""
    path = folder / "export" / form
    if form == "onnx":
        return {form: _onnx(path / "model.onnx")}
    if form != "tflite":
        return {form: _saved_model(path)}
    return {file.name: _litert(file) for file in sorted(path.glob("*.tflite"))}


def _saved_model(path: Path) -> Client:
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]

    def call(inputs: Arrays) -> dict[str, np.ndarray]:
        outputs = signature(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    call.signature = signature  # type: ignore[attr-defined]  # a signature alone does not keep its variables
    return call


def _litert(path: Path) -> Client:
    run = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
    return lambda inputs: run(**inputs)


def _onnx(path: Path) -> Client:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def call(inputs: Arrays) -> dict[str, np.ndarray]:
        texts = {name: array.astype(str) if array.dtype.kind == "S" else array for name, array in inputs.items()}
        return dict(zip(names, session.run(None, texts), strict=True))

    return call


def reference(model: tf_keras.Model, inputs: Arrays) -> dict[str, np.ndarray]:
    """Computes the Keras model's own outputs, by name."""
    interface = interface_of(model)
    tensors = tf.nest.pack_sequence_as(interface.structure, [tf.constant(array) for array in inputs.values()])
    outputs = tf.nest.flatten(model(tensors, training=False))
    return {name: _float(value) for name, value in zip(interface.outputs, outputs, strict=True)}


def _float(value: tf.Tensor) -> np.ndarray:
    return (tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else value).numpy()


def wrong(task: str, found: Arrays, expected: Arrays) -> dict[str, float]:
    """Returns the differences of served outputs, relative to the largest output or 1; infinite for one that lacks."""
    if task != "raw":
        (scores,) = expected.values()
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        probabilities = scores if task == "probabilities" else powers / powers.sum(-1, keepdims=True)
        expected = {"probabilities": probabilities, **({"logits": scores} if task == "classifier" else {})}
        assert ("logits" in found) == (task == "classifier")
        assert np.array_equal(found["class"], found["probabilities"].argmax(-1))
    return {name: _distance(found.get(name), value) for name, value in expected.items()}


def _distance(found: np.ndarray | None, expected: np.ndarray) -> float:
    if found is None or found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


@functools.lru_cache(maxsize=2)
def pruned(name: str, granularity: str) -> tf_keras.Model:
    """Builds and prunes a network of the zoo; two forms after one another share it."""
    return ZOO[name].pruned(granularity)


def judged(name: str, form: str, folder: Path) -> str:
    """Exports a network in one form, and compares it at batch 8 and 1.

    Returns:
      "right", or the sentence with which the export was refused.

    Raises:
      AssertionError: If an output is wrong, or the network is served for another task.
    """
    network, model = ZOO[name], pruned(name, GRANULARITY[form])
    try:
        report = exported(network, model, form, folder)
    except BadInput as error:
        assert not (folder / "export").exists() and "\n" not in str(error)
        return str(error)
    assert report["served"]["task"] == network.task
    # TensorFlow and LiteRT take other batches than the one that a network was built for; onnxruntime does not.
    built_for = next(iter(interface_of(model).inputs.values())).shape[0] if form == "onnx" else None
    fixed = network.fixed(form) or built_for
    calls = clients(form, folder)
    notes = [note for facts in report["forms"].values() for note in facts["notes"]]
    assert form != "tflite" or "float32.tflite" in calls, notes
    for size in (8, 1) if fixed is None else (fixed,):
        inputs = inputs_of(interface_of(model).inputs, network.most, size)
        expected = reference(model, inputs)
        for name, call in calls.items():
            tolerance = max(network.tolerance, 3e-2 if "float16" in name else 0)
            differences = wrong(network.task, call(inputs), expected)
            assert max(differences.values()) <= tolerance, (name, size, differences)
    return "right"
