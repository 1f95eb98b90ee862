"""The options of an export and their checks, which need no TensorFlow."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import FRACTION, real_number

FORMATS = ("plain", "packed", "compact", "tflite", "tflite_float32", "tflite_float16", "tflite_int8", "onnx")
ONNX_PACKAGES = ("tf2onnx", "onnx", "onnxruntime")  # the extra `onnx`
VALUES = ("float32", "float16", "bfloat16", "int8")
TASKS = ("auto", "classifier", "raw")


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Args:
      formats: Forms to write, of plain, packed, compact, tflite, tflite_float32, tflite_float16, tflite_int8 and
        onnx.
      values: Precision in which the packed form stores weights: "float32", "float16", "bfloat16" or "int8".
      overwrite: Whether an existing export of the same form is replaced.
      measure_latency: Whether each form and its dense counterpart are timed.
      min_agreement: Fraction of the examples, 0 to 1, that must have the same class as in the Keras model in every
        form; None sets no limit.
    """

    formats: Sequence[str] = ("plain",)
    values: str = "float32"
    overwrite: bool = False
    measure_latency: bool = True
    min_agreement: float | None = None

    def check(self) -> None:
        """Validates the options.

        Raises:
          BadInput: If there is no form, an unknown one, or the same one twice; if `values` is unknown, or given without
            the form that it is for; if `min_agreement` is no fraction; or if the packages of a form are not installed.
        """
        if self.min_agreement is not None:
            real_number("min_agreement", self.min_agreement, FRACTION)
        for form in self.formats or [""]:
            if form not in FORMATS or list(self.formats).count(form) > 1:
                allowed = f"must be one or more of {', '.join(FORMATS)}, each at most once"
                raise BadInput("formats", form or "(none)", allowed)
        if self.values not in VALUES:
            raise BadInput("values", self.values, f"must be one of {', '.join(VALUES)}")
        if self.values != VALUES[0] and "packed" not in self.formats:
            allowed = f"is for the form packed, and the forms to write are {', '.join(self.formats)}"
            never = "; onnx is written in float32 and never from packed" if "onnx" in self.formats else ""
            raise BadInput("values", self.values, allowed + never)
        missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
        if "onnx" in self.formats and missing:
            allowed = f"needs {' and '.join(missing)}, which is not installed: pip install 'dlth-tf[onnx]'"
            raise BadInput("formats", "onnx", allowed)


def check_serving(task: str, batch: int | None) -> None:
    """Validates the choice of a task, and of a fixed batch size.

    Raises:
      BadInput: If the task is unknown, or the batch size below 1.
    """
    if task not in TASKS:
        raise BadInput("task", task, f"must be one of {', '.join(TASKS)}")
    if batch is not None and batch < 1:
        raise BadInput("batch", batch, "must be at least 1")
