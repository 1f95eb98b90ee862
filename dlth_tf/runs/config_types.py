"""Types of the fields of a RunConfig, checked before their values: config.json of a run may contain anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

from dlth_tf.errors import BadInput

Fields: TypeAlias = Any  # a RunConfig, whose module imports this one

MAPPINGS = ("allocation", "model_args")  # fields that are text or a mapping
PARSED = "sparsity"  # a number that text may stand for, so that decimal fractions are exact
MOST_LETTERS = 100_000  # of a field, more than any allocation by layer needs
WHOLE = 2**63
KINDS = {"str": "text", "float": "a number", "int": "a whole number", "bool": "true or false"}


def check_types(config: Fields) -> None:
    """Checks that every field is of the kind that its annotation states, or of a kind that is resolved to it.

    Raises:
      BadInput: If one is not; the ranges of values are not checked here.
    """
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        kinds = str(item.type).split(" | ")
        if isinstance(value, int) and not _small(value):
            raise BadInput(item.name, "a large number", "must be below 2^63")
        if value is None and kinds == ["float"] and item.default is not None:
            raise BadInput(item.name, value, "must be a number")
        if value is not None and not _fits(item.name, value, kinds, item.metadata["comma_list"]):
            raise BadInput(item.name, value, f"must be {KINDS[kinds[0]]}")


def _fits(name: str, value: Any, kinds: list[str], comma_list: bool) -> bool:
    if isinstance(value, str):
        return (kinds[0] in ("str", "int") or name == PARSED) and len(value) <= MOST_LETTERS and _encodes(value)
    if "bool" in kinds:
        return isinstance(value, bool)
    if isinstance(value, Mapping):
        return name in MAPPINGS
    if comma_list and isinstance(value, list | tuple):
        return all(isinstance(entry, str) or _small(entry) for entry in value)
    return isinstance(value, int | float) and kinds != ["str"] and kinds != ["str", "None"]


def _small(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < WHOLE


def _encodes(text: str) -> bool:
    """Returns whether the text is valid Unicode without NUL, which no path and no argument may contain."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
