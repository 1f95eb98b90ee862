"""Checks of the plain values of a checkpoint and of a shared training: a right checksum does not make them right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dlth_tf.measures import measure_in
from dlth_tf.methods import Network
from dlth_tf.runs.watching.history import columns

MOST_LETTERS = 200  # of the name of a phase


def check_meta(meta: Mapping[str, Any], phases: int) -> None:
    """Checks the plain values of a checkpoint.

    Args:
      meta: The values by name.
      phases: Number of phases of the run.

    Raises:
      ValueError: If one is not of the kind that a run writes.
    """
    _require("phase", type(meta.get("phase")) is int and 0 <= meta["phase"] <= phases)
    check_rows(meta.get("rows"))
    rows = meta.get("phases")
    _require("phases", isinstance(rows, list) and len(rows) == meta["phase"] and all(map(_is_phase, rows)))
    pairs = meta.get("macs")
    _require("macs", isinstance(pairs, list) and all(isinstance(pair, list) and _numbers(pair, 2) for pair in pairs))
    _require("macs", len(meta["macs"]) == meta["phase"])
    _require("seconds", _is_number(meta.get("seconds")))
    _require("rate_scale", _is_number(meta.get("rate_scale", 1.0)) and 0 < meta.get("rate_scale", 1.0) <= 1)
    for name in ("rollback", "reused"):
        _require(name, isinstance(meta.get(name), dict | None))
    for name in ("before_removal", "after_removal"):
        values = meta.get(name)
        _require(name, isinstance(values, dict) and all(map(_is_number_or_none, values.values())))
    for name in ("inside", "rewound"):
        _require(name, isinstance(meta.get(name), bool))
    if meta["inside"]:
        _require("phase", meta["phase"] < phases)
        _require("step", type(meta.get("step")) is int and meta["step"] >= 0)
        states = meta.get("callbacks")
        _require("callbacks", isinstance(states, dict) and all(isinstance(state, dict) for state in states.values()))


def check_history(state: Any) -> None:
    """Checks the saved state of a history; raises ValueError if it is not one."""
    _require("history", isinstance(state, dict))
    check_rows(state.get("rows"))
    sums = state.get("sums")
    _require("step", type(state.get("step")) is int and state["step"] >= 0)
    _require(
        "sums", isinstance(sums, dict) and all(isinstance(row, list) and _numbers(row, 3) for row in sums.values())
    )
    _require("seconds", _is_number(state.get("seconds")))


def check_rows(rows: Any) -> None:
    """Checks rows of a history; raises ValueError if they are not such rows."""
    _require("rows", isinstance(rows, list) and all(isinstance(row, dict) and _is_row(row) for row in rows))


def check_rewind(network: Network, arrays: Mapping[str, Any]) -> None:
    """Checks that the arrays contain the weights that rewinding restores; raises ValueError if they do not."""
    start = "initial/"
    found = {name.removeprefix(start): value.shape for name, value in arrays.items() if name.startswith(start)}
    _require("rewound weights", found == {name: value.shape for name, value in network.initial.items()})


def _is_row(row: Mapping[str, Any]) -> bool:
    phase = row.get("phase")
    return (
        set(row) <= set(columns(measure_in(row, "test_{}")))
        and isinstance(phase, str)
        and len(phase) <= MOST_LETTERS
        and phase.isprintable()
        and all(_is_number_or_none(value) for name, value in row.items() if name != "phase")
    )


def _is_phase(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("name"), str)
        and all(_is_number(row[name]) for name in ("steps", "epochs", "images", "seconds") if name in row)
    )


def _numbers(values: list[Any], count: int) -> bool:
    return len(values) == count and all(map(_is_number, values))


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**80 and math.isfinite(value)
    )


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _require(name: str, fulfilled: bool) -> None:
    if not fulfilled:
        raise ValueError(f"its {name} is not that of a run")
