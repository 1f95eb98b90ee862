"""Arguments of `dlth_tf.export` beside the network, as arrays and texts, or refused in one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dlth_tf.deploy.examples import Examples
from dlth_tf.errors import BadInput

ARRAYS = "must be an array, or a mapping from the name of each input to its array"
LABELED = "; with labels, Examples(inputs, labels, origin) of dlth_tf.deploy.examples"
MOST_LETTERS = 80  # of a value in a message


def given_examples(name: str, value: Any) -> Examples | None:
    """Returns examples with arrays inside; None stays None.

    Args:
      name: Name of the argument.
      value: Array of any package, list, mapping of them, or `Examples`.

    Raises:
      BadInput: If it is something else, such as a tuple or a tf.data.Dataset, or labels are not numbers.
    """
    if value is None:
        return None
    if not isinstance(value, Examples):
        return Examples(given_arrays(name, value, LABELED), None, "the given examples")
    labels = None if value.labels is None else _array(value.labels)
    if value.labels is not None and (labels is None or labels.dtype.kind not in "biuf"):
        raise BadInput(name, _shown(value.labels), "must have labels that are an array of numbers: classes or targets")
    return dataclasses.replace(value, images=given_arrays(name, value.images, LABELED), labels=labels)


def given_arrays(name: str, value: Any, more: str = "") -> np.ndarray | Mapping[str, np.ndarray]:
    """Returns an array of any package, or a mapping of them, as NumPy's.

    Args:
      name: Name of the argument.
      value: Array, list, or a mapping.
      more: What else is allowed, as the end of the sentence.

    Raises:
      BadInput: If it is something else, or a list that is no array.
    """
    if isinstance(value, Mapping):
        arrays = {}
        for key, each in value.items():
            found = _array(each)
            if found is None:
                raise BadInput(f"{name}[{key!r}]", _shown(each), "must be an array")
            arrays[str(key)] = found
        return arrays
    array = _array(value)
    if array is None:
        raise BadInput(name, _shown(value), ARRAYS + more)
    return array


def arrays_in(known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of an export that hold arrays, as NumPy's.

    Args:
      known: Arguments of `dlth_tf.export` by name, of which examples, validation and calibration are used.

    Raises:
      BadInput: If one of them is no array, nor a mapping of arrays.
    """
    arrays: dict[str, Any] = {name: given_examples(name, known.get(name)) for name in ("examples", "validation")}
    calibration = known.get("calibration")
    arrays["calibration"] = None if calibration is None else given_arrays("calibration", calibration)
    return arrays


def given_names(value: Any) -> tuple[str, ...] | None:
    """Returns label names as a tuple of texts; None stays None.

    Raises:
      BadInput: If they are not texts, or one text.
    """
    if value is None:
        return None
    names = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise BadInput("label_names", _shown(value), "must be a list of texts, one for each class")
    return tuple(map(str, names))


def _array(value: Any) -> np.ndarray | None:
    """Returns the array that a value is; None if it is none."""
    if not isinstance(value, list) and not hasattr(value, "__array__"):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError, NotImplementedError):  # rows of several lengths, symbolic tensors
        return None
    return array if array.ndim else None


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= MOST_LETTERS else f"a {type(value).__name__}"
