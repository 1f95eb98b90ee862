"""`python -m dlth_tf.sweep`: a grid of runs over methods, sparsities and seeds."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from dlth_tf.commands import DONE, FAILED, define, define_fields, field_groups, help_text, parse, run_command
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.grid import SHARED, Backend, make_grid, run_grid, write_plan
from dlth_tf.sweeps.local_backend import LocalBackend
from dlth_tf.sweeps.ray_backend import RayBackend
from dlth_tf.tensorflow_start import start_tensorflow

USAGE = """Runs every combination of methods, sparsities and seeds; runs that are complete already are not run again.

  python -m dlth_tf.sweep --flagfile=flags/digits/demo.flags [--any_flag=...]"""
GRID = [
    ("methods", "comma list of methods; required", None, "list"),
    (
        "sparsities",
        "comma list of sparsities, at least 0 and below 1; required unless every method is dense",
        None,
        "list",
    ),
    ("seeds", "comma list of seeds", "0", "list"),
    ("sweep_dir", "one run directory per run goes here", "runs/sweep", "text"),
    ("backend", "local: processes on this machine; ray: a Ray cluster, one task per run", "local", "text"),
    ("parallel", "local: runs at a time, each in a process of its own with its share of the cores", 1, "int"),
    (
        "ray_address",
        "local: a cluster on this machine for as long as the sweep runs; auto or HOST:PORT: one that runs",
        "local",
        "text",
    ),
    ("cpus_per_run", "ray: processor cores that a run takes", 1.0, "float"),
    ("gpus_per_run", "ray: GPUs that a run takes; fractions let several small networks share one", 0.0, "float"),
    (
        "max_retries",
        "how often a run is begun again whose process or machine died; it goes on from its checkpoint",
        1,
        "int",
    ),
    ("time_limit", "for one run (30min, 2h); then it is stopped after a checkpoint and counts as failed", None, "text"),
    ("share", "runs that begin with the same training of the whole network make it once", True, "bool"),
    ("dry_run", "print the plan (runs, steps, images, multiply-adds) and run nothing", False, "bool"),
    (
        "calibrate",
        "with dry_run: measure the steps on this machine, and estimate how long the sweep takes",
        False,
        "bool",
    ),
]
FIXED = ("method", "sparsity", "seed", "run_dir", "export_dir", "shared_dir")  # what the grid sets for each run


def page() -> str:
    """The --help page."""
    fields = [field for field in dataclasses.fields(RunConfig) if field.name not in FIXED]
    return help_text(
        USAGE, {"The sweep": [(name, text, default) for name, text, default, _ in GRID], **field_groups(fields)}
    )


def main(argv: Sequence[str]) -> int:
    """Parses flags, runs what is missing, lists what failed."""
    values = flags.FlagValues()
    fields = [field for field in dataclasses.fields(RunConfig) if field.name not in FIXED]
    define_fields(values, fields)
    for name, text, default, kind in GRID:
        define(values, name, default, text, kind)
    parse(values, argv, page)
    _check(values)
    shared: dict[str, Any] = {field.name: values[field.name].value for field in fields}
    if values.share:
        shared["shared_dir"] = f"{values.sweep_dir}/{SHARED}"
    grid = make_grid(values.methods, values.sparsities, values.seeds, values.sweep_dir, shared)
    if values.dry_run:
        start_tensorflow()
        from dlth_tf.sweeps.dry_run import print_plan

        print_plan(grid, values.parallel if values.backend == "local" else 1, values.calibrate)
        return DONE
    backend = _backend(values)
    write_plan(grid, values.sweep_dir)
    board = run_grid(grid, values.sweep_dir, backend)
    if board.reused:
        print(board.summary())
    print(f"{len(grid) - len(board.failed)} of {len(grid)} runs complete in {values.sweep_dir}")
    for run_dir, reason in board.failed.items():
        print(f"failed: {run_dir}: {reason}", file=sys.stderr)
    return FAILED if board.failed else DONE


def _check(values: flags.FlagValues) -> None:
    if values.backend not in ("local", "ray"):
        raise BadInput("backend", values.backend, "must be local or ray")
    if values.parallel < 1:
        raise BadInput("parallel", values.parallel, "must be at least 1")
    if values.max_retries < 0:
        raise BadInput("max_retries", values.max_retries, "must be at least 0")
    if not 0 < values.cpus_per_run < math.inf:
        raise BadInput("cpus_per_run", values.cpus_per_run, "must be above 0")
    if not 0 <= values.gpus_per_run < math.inf:
        raise BadInput("gpus_per_run", values.gpus_per_run, "must be at least 0")
    if values.calibrate and not values.dry_run:
        raise BadInput("calibrate", True, "goes with --dry_run")
    _seconds(values.time_limit)


def _backend(values: flags.FlagValues) -> Backend:
    limit = _seconds(values.time_limit)
    if values.backend == "local":
        return LocalBackend(values.parallel, values.max_retries, limit)
    return RayBackend(values.ray_address, values.cpus_per_run, values.gpus_per_run, values.max_retries, limit)


def _seconds(text: str | None) -> float | None:
    """A time as --time_limit takes it, in seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", text)
    if match is None or not float(match[1]):
        raise BadInput("time_limit", text, "must be a time above 0 such as 90s, 30min or 2h")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.sweep", main))
