"""The tflite form: files for LiteRT (TensorFlow Lite), with preprocessing inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.deploy.serving import Served, Serving
from dlth_tf.deploy.tflite.sparse_layers import sparsify
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.execution import lstm_as_loop
from dlth_tf.masking.structure.layer_paths import all_sublayers

# Largest differences of a logit, relative to the largest logit: from another order of summation, and from rounding
# weights to 11 bits in dozens of layers: that alone moves the logits of a MobileNet with few channels by 1 to 2 %, in
# Keras and in `packed` as much as in LiteRT. The error of 8 bits depends on the network, so it is reported and no file
# is refused for it.
TOLERANCES = {"float32": 1e-4, "float16": 2e-2, "int8": float("inf")}


KINDS = tuple(TOLERANCES)
Calibration = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LiteRTFiles:
    """The LiteRT files that were written.

    Attributes:
      sparse: Kind of each written file ("float32", "float16", "int8") -> layer -> sparse format, for the layers that
        are stored sparse.
      left_out: Kind -> one sentence that says why LiteRT's converter did not write the file.
    """

    sparse: dict[str, dict[str, str]]
    left_out: dict[str, str]


def write_tflite(
    model: tf_keras.Model,
    path: Path,
    *,
    serving: Serving,
    calibration: Calibration | None = None,
    kinds: tuple[str, ...] = KINDS,
) -> LiteRTFiles:
    """Writes `float32.tflite`, `float16.tflite` and `int8.tflite` into a folder.

    All have the signature `serving_default` of the SavedModels, without labels, in batches of any size, to which the
    interpreter's signature runner resizes automatically.

    float32: Weights of fully connected layers are stored sparse where that makes TensorFlow Lite's kernel faster
    (`sparse_layers`). float16: All weights are rounded to float16; computation is in float32. int8: Weights and
    activations have 8 bits, per channel, calibrated. Images and results keep the types of the other files and are
    converted inside. The last two files store zeros like any other number.

    Args:
      model: Stripped Keras model in float32. For a network with removed filters, `compact(model)` yields smaller and
        faster files.
      path: Folder to write to, created if it does not exist.
      serving: Preprocessing and outputs around the network; without label names.
      calibration: Raw inputs [n, ...] that determine the ranges of activations, some hundred of the training images;
        for several inputs, input name -> array; None writes no int8 file.
      kinds: Files to write.

    Raises:
      BadInput: If `calibration` is empty or its images have another shape than the model's, or LiteRT's converter can
        write none of the files.
    """
    given = None if calibration is None else by_input(calibration, serving.inputs(model))
    path.mkdir(parents=True, exist_ok=True)
    convert = _converter(model, serving, given)
    result = LiteRTFiles({}, {})
    for kind in kinds:
        if kind == "int8" and given is None:
            continue
        try:
            data, sparse = sparsify(convert(kind)) if kind == "float32" else (convert(kind), {})
        except Exception as error:  # the converter raises errors of many types, with pages of its own code in them
            result.left_out[kind] = f"tflite: no {kind}.tflite, because {_reason(model, error)}."
            continue
        files.write_atomic(path / f"{kind}.tflite", data)
        result.sparse[kind] = _by_layer(model, sparse)
    if not result.sparse:
        raise BadInput("formats", "tflite", f"cannot hold this network: {_unwritten(result.left_out)}")
    return result


def by_input(calibration: Calibration, specs: Mapping[str, tf.TensorSpec]) -> dict[str, np.ndarray]:
    """Returns the calibration inputs by name, in the order of the signature, in its dtypes.

    Args:
      calibration: Raw inputs, as `write_tflite` takes them.
      specs: Shape and dtype of the signature's inputs, by name.

    Raises:
      BadInput: If there is not one array for each input, of its shape and as many examples as the others.
    """
    named = calibration if isinstance(calibration, Mapping) else dict.fromkeys(list(specs)[:1], calibration)
    if named.keys() != specs.keys():
        raise BadInput("calibration", ", ".join(named), f"must be one array for each input: {', '.join(specs)}")
    for name, spec in specs.items():
        free = tf.TensorShape([None, *spec.shape[1:]])
        if not len(named[name]) or not free.is_compatible_with(named[name].shape):
            given = "calibration" if len(specs) == 1 else f"calibration[{name!r}]"
            raise BadInput(given, list(named[name].shape), f"must hold images of shape {spec.shape[1:].as_list()}")
    lengths = {len(array) for array in named.values()}
    if len(lengths) > 1:
        raise BadInput("calibration", sorted(lengths), "must be arrays of one length")
    return {name: named[name].astype(spec.dtype.as_numpy_dtype) for name, spec in specs.items()}


def _unwritten(left_out: dict[str, str]) -> str:
    reasons = (text.partition(", because ")[2] for text in left_out.values())
    return next(reasons, "there are no images to calibrate it with").rstrip(".")


def _reason(model: tf_keras.Model, error: Exception) -> str:
    """One sentence about an error of the converter, whose own text goes on for pages."""
    recurrent = [layer.name for layer in all_sublayers(model) if isinstance(layer, tf_keras.layers.RNN)]
    if recurrent and "TensorList" in str(error):
        return f"LiteRT runs recurrent layers ({', '.join(recurrent)}) with a fixed batch size only (batch=1)"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    operation = next((found[0] for line in lines if (found := re.findall(r"'(tf\.\w+)' op", line))), None)
    cause = f"it has no operation for {operation}" if operation else f"it says: {lines[0][:160]}"
    return f"LiteRT's converter does not take the network ({cause})"


def _converter(
    model: tf_keras.Model, serving: Serving, given: Mapping[str, np.ndarray] | None
) -> Callable[[str], bytes]:
    """Returns a function from the kind of a file to its content."""
    served = Served(model, serving)
    with lstm_as_loop(model):
        function = served.serve.get_concrete_function()
    size = next(iter(served.specs.values())).shape[0] or 1

    def images() -> Iterator[list[np.ndarray]]:
        arrays = list((given or {}).values())
        count = min(map(len, arrays), default=0)
        yield from ([array[start : start + size] for array in arrays] for start in range(0, count - count % size, size))

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
