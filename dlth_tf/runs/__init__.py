"""The runner: any list of phases, in order, into a run directory. `run` is loaded when first used."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dlth_tf.runs.runner import run

    return run
