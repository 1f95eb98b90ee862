"""Arguments of the networks of this package: plain values only, since Keras turns a mapping into objects and calls."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import plain
from dlth_tf.registry import is_path

WORD = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
DEPTH = 3  # of lists in lists
ENTRIES = 1000  # of one list


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Checks the values of `--model_args` before a network sees them.

    keras-cv hands some arguments on to Keras, which takes a mapping for the configuration of an object, imports the
    module that it names and calls what it finds there. A function that a dotted path names is the user's own code and
    may take any argument.

    Args:
      name: Name of the network, as given to `--model`.
      arguments: Arguments of its builder.

    Raises:
      BadInput: If a value is not a number, a boolean, None, a plain word or a list of these.
    """
    if is_path(name):
        return
    for key, value in arguments.items():
        if not _plain(value, DEPTH):
            allowed = f"{key} must be a finite number, true, false, null, a plain word, or a list of these"
            raise BadInput("model_args", dict(arguments), allowed)


def _plain(value: Any, depth: int) -> bool:
    value = plain(value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return abs(value) < 2**63 and math.isfinite(value)
    if isinstance(value, str):
        return WORD.fullmatch(value) is not None
    return (
        isinstance(value, list | tuple)
        and depth > 0
        and len(value) <= ENTRIES
        and all(_plain(entry, depth - 1) for entry in value)
    )
