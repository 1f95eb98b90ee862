"""The tflite form: files for TensorFlow Lite (LiteRT), with preprocessing inside."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.data import Normalization
from dlth_tf.deploy.serving import SIGNATURE, Served, Serving, expected_logits
from dlth_tf.deploy.tflite.sparse_layers import sparsify
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator

PROBES = 16  # images on which a file is compared with the model
# Of logits, relative to the largest: rounding of another order of sums, and of weights to 11 bits in dozens of layers. How
# far 8 bits are off depends on the network, so the report tells and nobody is refused.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": float("inf")}


def write_tflite(
    model: tf_keras.Model, path: Path, *, normalization: Normalization | None, calibration: np.ndarray | None
) -> dict[str, Any]:
    """Writes `float32.tflite`, `float16.tflite` and `int8.tflite` into a folder, and runs each of them.

    All have the signature `serving_default`: `images` (raw uint8 with a normalization, else the model's own inputs; any
    batch size: the interpreter's signature runner resizes by itself) gives float32 `logits` and `probabilities` and int64
    `class`.

    float32: fully connected weights are stored sparse where TensorFlow Lite's kernel is faster so (fully_connected.py).
    float16: all weights rounded to float16, computed in float32. int8: weights and activations in 8 bits, per channel,
    calibrated; images and results keep the types of the others, their conversion is inside. The last two store zeros
    like other numbers.

    Args:
      model: gives logits. A network with removed filters is smaller and faster if it is given as `compact(model)`.
      path: the folder; made if need be.
      normalization: put in front of the network.
      calibration: raw images [n, H, W, C], for the ranges of activations: some hundred of the training images; None: no int8.

    Returns:
      By file name {"bytes", "max_difference" (of the logits from the Keras model's, over 16 images), "same_class" (fraction
      of these images), "sparse" (layer -> format)}; without calibration images "int8.tflite" is {"skipped": why}.

    Raises:
      BadInput: calibration images of another shape, or none.
      RuntimeError: a file does not load, or its logits differ from the model's.
    """
    serving = Serving(normalization)
    spec = serving.images(model)
    if calibration is not None and (not len(calibration) or not spec.shape.is_compatible_with(calibration.shape)):
        raise BadInput("calibration", list(calibration.shape), f"must hold images of shape {spec.shape[1:].as_list()}")
    path.mkdir(parents=True, exist_ok=True)
    probes = _probes(spec, calibration)
    expected = expected_logits(model, serving, probes)
    convert = _converter(model, serving, calibration)
    report: dict[str, Any] = {}
    for kind, tolerance in TOLERANCES.items():
        if kind == "int8" and calibration is None:
            report["int8.tflite"] = {"skipped": "there are no images to calibrate it with"}
            continue
        data, sparse = sparsify(convert(kind)) if kind == "float32" else (convert(kind), {})
        facts = {
            "bytes": len(data),
            **_verified(kind, data, probes, expected, tolerance),
            "sparse": _by_layer(model, sparse),
        }
        files.write_atomic(path / f"{kind}.tflite", data)
        report[f"{kind}.tflite"] = facts
    return report


def _converter(model: tf_keras.Model, serving: Serving, calibration: np.ndarray | None) -> Callable[[str], bytes]:
    """A function kind -> .tflite file."""
    served = Served(model, serving)
    function = served.serve.get_concrete_function()
    dtype = serving.images(model).dtype.as_numpy_dtype

    def images() -> Iterator[list[np.ndarray]]:
        yield from ([image[None].astype(dtype)] for image in (() if calibration is None else calibration))

    def convert(kind: str) -> bytes:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], served)
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == "int8":
            converter.representative_dataset = images
        return converter.convert()

    return convert


def _verified(kind: str, data: bytes, probes: np.ndarray, expected: np.ndarray, tolerance: float) -> dict[str, float]:
    """Runs a file on single images and on all at once.

    Raises:
      RuntimeError: it does not run, or differs.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # LiteRT's package is TensorFlow Lite's successor, and so it is elsewhere
            run = tf.lite.Interpreter(model_content=data).get_signature_runner(SIGNATURE)
        singles = np.concatenate([run(images=image[None])["logits"] for image in probes])
        found = run(images=probes)["logits"]
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(f"{kind}.tflite does not run: {error}") from error
    largest = max(1.0, float(np.abs(expected).max()))
    difference = float(max(np.abs(found - expected).max(), np.abs(singles - expected).max()))
    if not (np.isfinite(difference) and difference <= tolerance * largest):
        raise RuntimeError(f"the logits of {kind}.tflite differ from the model's by {difference:g}")
    return {"max_difference": difference, "same_class": float(np.mean(found.argmax(1) == expected.argmax(1)))}


def _probes(spec: tf.TensorSpec, calibration: np.ndarray | None) -> np.ndarray:
    dtype = spec.dtype.as_numpy_dtype
    if calibration is not None:
        return calibration[:PROBES].astype(dtype)
    random, shape = generator(0, "tflite probe"), (PROBES, *spec.shape[1:])
    return (random.integers(0, 256, shape) if spec.dtype.is_integer else random.random(shape)).astype(dtype)


def _by_layer(model: tf_keras.Model, sparse: dict[str, str]) -> dict[str, str]:
    """Formats by Keras' names of layers, as far as the converter's names of results show them."""
    names = [layer.name for layer in model.layers]
    return {next((name for name in names if f"/{name}/" in result), result): form for result, form in sparse.items()}
