"""A sweep: a grid of configurations, run by a backend. Does not import TensorFlow in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from dlth_tf import files
from dlth_tf.errors import BadInput, renamed
from dlth_tf.methods import METHODS
from dlth_tf.plain_numbers import shortest
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.config_checks import read_sparsity, split_list
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.stopping import Stopped, interrupted_by_signals
from dlth_tf.sweeps.order import longest_first
from dlth_tf.sweeps.plan import refuse_other_recipes
from dlth_tf.sweeps.status import PROGRESS, SweepStatus

SHARED = ".shared"  # folder in a sweep directory for dense trainings that several runs start with


class Backend(Protocol):
    """Runs many configurations."""

    def run(self, todo: Sequence[RunConfig], status: SweepStatus) -> None:
        """Runs every configuration, and reports to `status` how each run ended."""

    def stop(self) -> None:
        """Stops the current runs after a checkpoint."""


def make_grid(
    methods: str | None, sparsities: str | None, seeds: str | None, sweep_dir: str, shared: dict[str, Any]
) -> list[RunConfig]:
    """Returns one configuration per method, sparsity and seed; methods without a sparsity run once per seed.

    Args:
      methods: Comma list of methods.
      sparsities: Comma list of sparsities; None is allowed if no method needs one.
      seeds: Comma list of seeds.
      sweep_dir: Parent directory of the run directories.
      shared: The other fields of every RunConfig.

    Raises:
      BadInput: If a list is empty or invalid, RunConfig refuses a value, or the directory holds other runs.
    """
    names = _words("methods", methods)
    with renamed({"method": "methods"}):
        for name in names:
            METHODS.check(name)
    with_sparsity = {name for name in names if METHODS.load(name).needs_sparsity}
    levels = _levels(sparsities) if with_sparsity else []
    grid = []
    for name in names:
        for level in levels if name in with_sparsity else [None]:
            for seed in _seeds(seeds):
                directory = f"{sweep_dir}/{name}-{'' if level is None else f'{shortest(level)}-'}s{seed}"
                varied = {"method": name, "sparsity": level, "seed": seed, "run_dir": directory}
                with renamed({"method": "methods", "sparsity": "sparsities", "seed": "seeds"}):
                    grid.append(RunConfig(**{**shared, **varied}))
    for folder in (PROGRESS, SHARED):
        files.own_folder(Path(sweep_dir, folder), "sweep_dir", sweep_dir)
    refuse_other_recipes(grid, sweep_dir)
    for config in grid:
        if files.is_link(Path(config.run_dir)):
            raise BadInput("sweep_dir", sweep_dir, f"its {Path(config.run_dir).name} is a link, which is not followed")
        RunDirectory(Path(config.run_dir)).refuse_other_runs(config)
    return grid


def _words(name: str, text: str | None) -> list[str]:
    words = list(dict.fromkeys(split_list(text)))
    if not words:
        raise BadInput(name, text or "(missing)", "must be a comma list with at least one entry")
    return words


def _levels(text: str | None) -> list[float]:
    with renamed({"sparsity": "sparsities"}):
        return list(dict.fromkeys(float(read_sparsity(word)) for word in _words("sparsities", text)))


def _seeds(text: str | None) -> list[int]:
    words = _words("seeds", text)
    if not all(word.isdecimal() for word in words):
        raise BadInput("seeds", text, "must be whole numbers, at least 0, separated by commas")
    return list(dict.fromkeys(map(int, words)))


def run_grid(grid: list[RunConfig], sweep_dir: str, backend: Backend, console: Console | None = None) -> SweepStatus:
    """Runs all configurations that are not complete, the longest first; a failed run does not stop the others.

    Returns:
      The status of the sweep, with {run directory: reason} of every failed run.

    Raises:
      Stopped: If SIGINT or SIGTERM was received; every run in progress has written a checkpoint.
    """
    todo = longest_first([config for config in grid if not RunDirectory(Path(config.run_dir)).is_complete()])
    status = SweepStatus(sweep_dir, grid, todo, console)
    if status.before:
        status.console.print(f"{status.before} of {len(grid)} runs are already complete")
    with interrupted_by_signals():
        try:
            with status.shown():
                backend.run(todo, status)
        except KeyboardInterrupt:
            status.console.print("stopping after the runs have written checkpoints (a second signal stops at once)")
            how = _stop(backend)
            done = status.before + status.done
            raise Stopped(f"stopped {how}with {done} of {len(grid)} runs complete in {sweep_dir}") from None
    return status


def _stop(backend: Backend) -> str:
    """Stops the runs; returns a word on how, if they could not all write a checkpoint."""
    try:
        backend.stop()
    except KeyboardInterrupt:
        return "at once "
    return ""
