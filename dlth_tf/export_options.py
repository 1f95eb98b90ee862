"""The options of an export and their checks, which need no TensorFlow."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TypedDict

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import FRACTION, real_number, whole_numbers, whole_or_none

FORMATS = ("plain", "packed", "compact", "tflite", "tflite_float32", "tflite_float16", "tflite_int8", "onnx")
ONNX_PACKAGES = ("tf2onnx", "onnx", "onnxruntime")  # the extra `onnx`
VALUES = ("float32", "float16", "bfloat16", "int8")
SAVED_MODELS = ("plain", "packed", "compact")
TASKS = ("auto", "classifier", "raw")


class OptionKeywords(TypedDict, total=False):
    """Keywords of `dlth_tf.export` that are options of the export; see `ExportOptions`."""

    values: str
    overwrite: bool
    measure_latency: bool
    min_agreement: float | None


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Args:
      formats: Forms to write, of plain, packed, compact, tflite, tflite_float32, tflite_float16, tflite_int8 and
        onnx.
      values: Precision in which the packed form stores weights: "float32", "float16", "bfloat16" or "int8".
      overwrite: Whether an existing export of the same form is replaced, and forms of another network are removed.
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
          BadInput: If `formats` is no list, or has no form, an unknown one, or the same one twice; if `values` is
            unknown, or given without the form that it is for; if `min_agreement` is no fraction; or if the packages of
            a form are not installed.
        """
        if self.min_agreement is not None:
            real_number("min_agreement", self.min_agreement, FRACTION)
        if isinstance(self.formats, str) or not isinstance(self.formats, Sequence | Set):
            raise BadInput("formats", self.formats, f"must be a list of forms, such as [{FORMATS[1]!r}]")
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
            allowed = (
                f"needs {' and '.join(missing)}, which is not installed: it belongs to the extra onnx of this package"
            )
            raise BadInput("formats", "onnx", allowed)


@dataclass(frozen=True)
class ServingOptions:
    """Choices of what a client sends and gets.

    Args:
      task: "classifier", "raw", or "auto", which decides by the output.
      batch: Number of examples in every call; None leaves it free.
      labels: Whether label names are served, where they are known.
      image_bytes: Whether SavedModels have a second signature that takes encoded images.
      image_size: Height and width of all images, for a network that takes any; None leaves them free.
    """

    task: str = "auto"
    batch: int | None = None
    labels: bool = True
    image_bytes: bool = False
    image_size: tuple[int, int] | None = None

    def check(self, formats: Sequence[str] = SAVED_MODELS) -> None:
        """Validates the choices.

        Args:
          formats: Forms to write.

        Raises:
          BadInput: If the task is unknown, the batch size or a size of images below 1, or encoded images are asked for
            without a form that can take them.
        """
        if self.image_bytes and not set(formats) & set(SAVED_MODELS):
            allowed = f"is for {', '.join(SAVED_MODELS)}, and the forms to write are {', '.join(formats)}"
            raise BadInput("image_bytes", True, allowed)
        if self.task not in TASKS:
            raise BadInput("task", self.task, f"must be one of {', '.join(TASKS)}")
        whole_or_none("batch", self.batch, least=1)
        size = None if self.image_size is None else whole_numbers("image_size", self.image_size)
        if size is not None and (len(size) != 2 or not min(size) > 0):
            raise BadInput("image_size", self.image_size, "must be height and width, both at least 1")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Reads the size of images as a flag states it, "HxW" or "H" for squares; None stays None.

    >>> parse_size("32"), parse_size("480x640")
    ((32, 32), (480, 640))

    Raises:
      BadInput: If it has another form.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text)
    if found is None:
        raise BadInput("image_size", text, "must be a height, or HEIGHTxWIDTH, in pixels")
    return int(found[1]), int(found[2] or found[1])


def size_text(size: tuple[int, int]) -> str:
    """Returns the size of images as the flag states it.

    >>> size_text((480, 640))
    '480x640'
    """
    return f"{size[0]}x{size[1]}"
