"""The tflite form: files for LiteRT (TensorFlow Lite), with preprocessing inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.data.normalize import Normalization
from dlth_tf.deploy.serving import Served, Serving
from dlth_tf.deploy.tflite.sparse_layers import sparsify
from dlth_tf.errors import BadInput

# Largest differences of a logit, relative to the largest logit: from another order of summation, and from rounding
# weights to 11 bits in dozens of layers. The error of 8 bits depends on the network, so it is reported and no file is
# refused for it.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": float("inf")}


def write_tflite(
    model: tf_keras.Model, path: Path, *, normalization: Normalization | None, calibration: np.ndarray | None
) -> dict[str, dict[str, str]]:
    """Writes `float32.tflite`, `float16.tflite` and `int8.tflite` into a folder.

    All have the signature `serving_default`. It takes `images`, raw uint8 with a normalization and otherwise the
    model's own inputs, in batches of any size, to which the interpreter's signature runner resizes automatically. It
    returns float32 `logits` and `probabilities`, and int64 `class`.

    float32: Weights of fully connected layers are stored sparse where that makes TensorFlow Lite's kernel faster
    (`sparse_layers`). float16: All weights are rounded to float16; computation is in float32. int8: Weights and
    activations have 8 bits, per channel, calibrated. Images and results keep the types of the other files and are
    converted inside. The last two files store zeros like any other number.

    Args:
      model: Stripped Keras model that returns logits. For a network with removed filters, `compact(model)` yields
        smaller and faster files.
      path: Folder to write to, created if it does not exist.
      normalization: Normalization put in front of the network; None takes the model's own inputs.
      calibration: Raw images [n, H, W, C] that determine the ranges of activations, some hundred of the training
        images; None writes no int8 file.

    Returns:
      Kind of each written file ("float32", "float16", "int8") -> layer -> sparse format, for the layers that are stored
      sparse.

    Raises:
      BadInput: If `calibration` is empty or its images have another shape than the model's.
    """
    serving = Serving(normalization)
    spec = serving.images(model)
    if calibration is not None and (not len(calibration) or not spec.shape.is_compatible_with(calibration.shape)):
        raise BadInput("calibration", list(calibration.shape), f"must hold images of shape {spec.shape[1:].as_list()}")
    path.mkdir(parents=True, exist_ok=True)
    convert = _converter(model, serving, calibration)
    written = {}
    for kind in TOLERANCES:
        if kind == "int8" and calibration is None:
            continue
        data, sparse = sparsify(convert(kind)) if kind == "float32" else (convert(kind), {})
        files.write_atomic(path / f"{kind}.tflite", data)
        written[kind] = _by_layer(model, sparse)
    return written


def _converter(model: tf_keras.Model, serving: Serving, calibration: np.ndarray | None) -> Callable[[str], bytes]:
    """Returns a function from the kind of a file to its content."""
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


def _by_layer(model: tf_keras.Model, sparse: dict[str, str]) -> dict[str, str]:
    """Replaces the converter's names of results by Keras' names of layers, where they contain one."""
    names = [layer.name for layer in model.layers]
    return {next((name for name in names if f"/{name}/" in result), result): form for result, form in sparse.items()}
