"""Types of the fields of a RunConfig, checked before their values: config.json of a run may contain anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import plain
from dlth_tf.runs.config_checks import READ_BY_SOME

Fields: TypeAlias = Any  # a RunConfig, whose module imports this one

MAPPINGS = ("allocation", "model_args")  # fields that are text or a mapping
PARSED = "sparsity"  # a number that text may stand for, so that decimal fractions are exact
PATHS = ("data_dir", "init_weights", "run_dir", "export_dir", "shared_dir")
MOST_LETTERS = 100_000  # of a field, more than any allocation by layer needs
WHOLE = 2**63
KINDS = {"str": "text", "float": "a number", "int": "a whole number", "bool": "true or false"}


def check_types(config: Fields) -> None:
    """Checks that every field is of the kind that its annotation states, or of a kind that is resolved to it.

    Raises:
      BadInput: If one is not; the ranges of values are not checked here.
    """
    for item in dataclasses.fields(config):
        value = plain(getattr(config, item.name))
        kinds = str(item.type).split(" | ")
        if isinstance(value, int) and not _small(value):
            raise BadInput(item.name, "a large number", "must be below 2^63")
        if item.name in PATHS and value == "":
            raise BadInput(item.name, value, "must not be empty: leave it out for the default")
        if value is None and kinds == ["float"] and item.default is not None:
            raise BadInput(item.name, value, "must be a number")
        # Flags that only some methods read are checked where a phase reads them.
        unread = item.name in READ_BY_SOME and (isinstance(value, int | float) or _is_word(value))
        if value is not None and not unread and not _fits(item.name, value, kinds, item.metadata["comma_list"]):
            raise BadInput(item.name, value, f"must be {KINDS[kinds[0]]}")


def _fits(name: str, value: Any, kinds: list[str], comma_list: bool) -> bool:
    if isinstance(value, str):
        return (kinds[0] in ("str", "int") or name == PARSED) and len(value) <= MOST_LETTERS and _encodes(value)
    if "bool" in kinds:
        return isinstance(value, bool)
    if isinstance(value, Mapping):
        return name in MAPPINGS
    if comma_list and (isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1):
        return all(isinstance(entry, str) or _small(plain(entry)) for entry in value)
    return isinstance(value, Real | Decimal) and kinds != ["str"] and kinds != ["str", "None"]


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_LETTERS and _encodes(value)


def _small(value: Any) -> bool:
    number: Any = value  # an int may be too large for a float
    return isinstance(value, Real | Decimal) and -WHOLE < number < WHOLE


def _encodes(text: str) -> bool:
    """Returns whether the text is valid Unicode without NUL, which no path and no argument may contain."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
