"""JSON files: parsed within bounds, and written atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.files.reading import MOST_JSON, read_file
from dlth_tf.files.writing import write_atomic
from dlth_tf.plain_numbers import json_value

DEPTH = 64  # of lists and objects in each other
DIGITS = 40  # of a number


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON; raises ValueError for NaN and infinity, which JSON does not support.

    NumPy's numbers are written as plain ones.
    """
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False, default=json_value) + "\n")


def parse_json(data: bytes | str) -> Any:
    """Parses JSON that may be somebody else's.

    The memory is at most about 40 times `data`, whose size is bounded where it is read.

    Raises:
      ValueError: If it is not valid JSON, or contains NaN, infinity, a number of more than 40 digits, half a letter, or
        lists and objects deeper than 64 levels.
    """
    try:
        value = json.loads(data, parse_int=_whole, parse_float=_number, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEPTH} levels") from None
    _check(value)
    return value


def read_json(path: str | os.PathLike[str], most: int = MOST_JSON) -> Any:
    """Reads a JSON file.

    Raises:
      OSError: If it cannot be read, is no regular file, or has more than `most` bytes.
      ValueError: If `parse_json` refuses it.
    """
    return parse_json(read_file(path, most))


def read_json_object(path: Path, thing: str, root: Path | None = None) -> dict[str, Any]:
    """Reads a file that contains one JSON object.

    Args:
      path: The file to read.
      thing: Flag or argument that named the directory, for the error message.
      root: Directory that `thing` named; the parent directory of `path` by default.

    Raises:
      BadInput: If the file cannot be read or does not contain a JSON object.
    """
    root = path.parent if root is None else root
    name = path.relative_to(root)
    try:
        value = read_json(path)
    except OSError as error:
        raise BadInput(thing, root, f"{name} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BadInput(thing, root, f"{name} is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise BadInput(thing, root, f"{name} must contain a JSON object, but contains a {type(value).__name__}")
    return value


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"it contains a number of {len(text):,} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), -float("inf")):
        raise ValueError("it contains a number that is too large")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"it contains {text}")


def _check(value: Any) -> None:
    """Raises ValueError for half a letter, which no file can contain, and for values nested too deep."""
    level = [value]
    for _ in range(DEPTH + 1):
        if not level:
            return
        inner = []
        for entry in level:
            if isinstance(entry, str):
                _check_text(entry)
            elif isinstance(entry, list):
                inner.extend(entry)
            elif isinstance(entry, dict):
                inner.extend(entry.keys())
                inner.extend(entry.values())
        level = inner
    raise ValueError(f"it is nested deeper than {DEPTH} levels")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("it contains half a letter (a lone surrogate)") from None
