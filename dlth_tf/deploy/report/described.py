"""Checks of the facts in an earlier export.json, which may be somebody else's, before they are shown and kept."""

from __future__ import annotations

import re
from typing import Any

from dlth_tf.deploy.checks.standalone import TIMED_BATCHES

MOST_LETTERS = 2000  # of a note
WHOLE = ("bytes", "dense_bytes", "parameters", "nonzero")
NUMBERS = ("times_bound", "max_difference")
OPTIONAL = ("multiply_adds", "tolerance", "accuracy")
TIMES = ("ms", "dense_ms", "speedup")
FIXED = re.compile(r"[1-9][0-9]{0,8}")  # a batch size


def is_described(facts: Any) -> bool:
    """Returns whether the facts about a form have all that the tables show, of the right kinds."""
    if not isinstance(facts, dict):
        return False
    notes = facts.get("notes")
    return (
        all(type(facts.get(name)) is int for name in WHOLE)
        and all(_number(facts.get(name)) for name in NUMBERS)
        and all(name in facts and (facts[name] is None or _number(facts[name])) for name in OPTIONAL)
        and (facts.get("mse") is None or _number(facts["mse"]))
        and isinstance(facts.get("files"), dict)
        and isinstance(notes, list)
        and all(isinstance(note, str) and note.isprintable() and len(note) <= MOST_LETTERS for note in notes)
        and ("latency" not in facts or _timed(facts["latency"]))
    )


def _timed(latency: Any) -> bool:
    return (
        isinstance(latency, dict)
        and (list(latency) == [str(batch) for batch in TIMED_BATCHES] or _is_fixed_batch(list(latency)))
        and all(
            isinstance(times, dict)
            and all(_number(times.get(name)) for name in TIMES)
            and _is_range(times.get("range"))
            for times in latency.values()
        )
    )


def _is_fixed_batch(sizes: list[Any]) -> bool:
    """Returns whether a form was timed with a single batch size, the only one that it takes."""
    return len(sizes) == 1 and isinstance(sizes[0], str) and bool(FIXED.fullmatch(sizes[0]))


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
