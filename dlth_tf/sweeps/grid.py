"""A sweep: a grid of configurations, and what runs it. Does not import TensorFlow in this process."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from dlth_tf import files
from dlth_tf.core import parse_sparsity
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.stopping import Stopped
from dlth_tf.sweeps.status import SweepStatus

SHARED = ".shared"  # folder in a sweep's own: trainings that its runs have in common


class Backend(Protocol):
    """What runs many configurations."""

    def run(self, todo: Sequence[RunConfig], board: SweepStatus) -> None:
        """Runs everything, and tells the board how each run ended."""

    def stop(self) -> None:
        """Ends what runs, after a checkpoint."""


def make_grid(
    methods: str | None, sparsities: str | None, seeds: str | None, sweep_dir: str, shared: dict[str, Any]
) -> list[RunConfig]:
    """One configuration per method, sparsity and seed; a method without sparsity runs once per seed.

    Args:
      methods: comma list.
      sparsities: comma list.
      seeds: comma list.
      sweep_dir: where the run directories go.
      shared: the other fields of every RunConfig.

    Raises:
      BadInput: an empty or unreadable list, or whatever RunConfig refuses.
    """
    names = _words("methods", methods)
    for name in names:
        METHODS.check(name)
    sparse = any(METHODS.load(name).needs_sparsity for name in names)
    levels = (
        list(dict.fromkeys(float(parse_sparsity(word)) for word in _words("sparsities", sparsities))) if sparse else []
    )
    grid = []
    for name in names:
        for level in levels if METHODS.load(name).needs_sparsity else [None]:
            for seed in _seeds(seeds):
                directory = f"{sweep_dir}/{name}-{'' if level is None else f'{level:g}-'}s{seed}"
                grid.append(
                    RunConfig(**{**shared, "method": name, "sparsity": level, "seed": seed, "run_dir": directory})
                )
    for config in grid:
        RunDirectory(Path(config.run_dir)).refuse_other_runs(config)
    return grid


def _words(name: str, text: str | None) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))
    if not words:
        raise BadInput(name, text or "(missing)", "must be a comma list with at least one entry")
    return words


def _seeds(text: str | None) -> list[int]:
    words = _words("seeds", text)
    if not all(word.isdecimal() for word in words):
        raise BadInput("seeds", text, "must be whole numbers, at least 0, separated by commas")
    return list(dict.fromkeys(map(int, words)))


def write_plan(grid: list[RunConfig], sweep_dir: str) -> None:
    """Writes plan.json: what the sweep consists of, for the report."""
    runs = [{"run_dir": Path(c.run_dir).name, "method": c.method, "sparsity": c.sparsity, "seed": c.seed} for c in grid]
    plan = {
        "methods": list(dict.fromkeys(c.method for c in grid)),
        "sparsities": sorted({c.sparsity for c in grid if METHODS.load(c.method).needs_sparsity}),
        "seeds": sorted({c.seed for c in grid}),
        "runs": runs,
    }
    try:
        Path(sweep_dir).mkdir(parents=True, exist_ok=True)
        files.write_json(Path(sweep_dir) / "plan.json", plan)
    except OSError as error:
        raise BadInput("sweep_dir", sweep_dir, f"cannot be written to ({error.strerror})") from None


def run_grid(grid: list[RunConfig], sweep_dir: str, backend: Backend, console: Console | None = None) -> SweepStatus:
    """Runs what is not complete; a failed run does not stop the others.

    Returns:
      The board, with (run directory -> reason) of every run that failed.

    Raises:
      Stopped: SIGINT or SIGTERM came; every run that ran has written a checkpoint.
    """
    todo = [config for config in grid if not RunDirectory(Path(config.run_dir)).result.exists()]
    board = SweepStatus(sweep_dir, grid, todo, console)
    if board.before:
        board.console.print(f"{board.before} of {len(grid)} runs are complete already")
    terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with board.shown():
            backend.run(todo, board)
    except KeyboardInterrupt:
        board.console.print("stopping; the runs write checkpoints first (a second signal does not wait for them)")
        backend.stop()
        raise Stopped(f"stopped with {board.before + board.done} of {len(grid)} runs complete in {sweep_dir}") from None
    finally:
        signal.signal(signal.SIGTERM, terminate)
    return board
