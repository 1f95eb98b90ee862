"""`python -m dlth_tf.sweep`: trains a grid of runs over methods, sparsities and seeds."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from dlth_tf.commands import DONE, FAILED, define, define_fields, field_groups, parse, run_command, run_console_script
from dlth_tf.console import help_text
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import ABOVE_0, AT_LEAST_0, real_number, whole_number
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.grid import SHARED, Backend, make_grid, run_grid
from dlth_tf.sweeps.local_backend import LocalBackend
from dlth_tf.sweeps.plan import write_plan
from dlth_tf.sweeps.ray_backend import RayBackend
from dlth_tf.tensorflow_start import start_tensorflow

USAGE = """Trains every combination of methods, sparsities and seeds, and skips runs that are already complete.

  python -m dlth_tf.sweep --flagfile=flags/digits/demo.flags [--any_flag=...]
  dlth-sweep --flagfile=dlth:digits/demo                       (the same, from any folder)"""
GRID = [
    ("methods", "comma-separated list of methods; required", None, "list"),
    (
        "sparsities",
        "comma-separated list of sparsities, above 0 and below 1; required unless every method is dense",
        None,
        "list",
    ),
    ("seeds", "comma-separated list of seeds", "0", "list"),
    ("sweep_dir", "directory to write to, one run directory per run", "runs/sweep", "text"),
    ("backend", "local (processes on this machine) or ray (a Ray cluster, one task per run)", "local", "text"),
    (
        "parallel",
        "with backend=local: number of runs at a time, each in a separate process with an equal share of the cores",
        1,
        "int",
    ),
    (
        "ray_address",
        "with backend=ray: local (a cluster on this machine for the duration of the sweep), or auto or HOST:PORT of a "
        "running cluster",
        "local",
        "text",
    ),
    ("cpus_per_run", "with backend=ray: CPU cores per run", 1.0, "float"),
    (
        "gpus_per_run",
        "with backend=ray: GPUs per run; with a fraction, several small networks share one GPU",
        0.0,
        "float",
    ),
    (
        "max_retries",
        "number of times that a run is resumed from its checkpoint after its process or machine died",
        1,
        "int",
    ),
    (
        "time_limit",
        "time limit of one run (30min, 2h), after which it is stopped at a checkpoint and counts as failed",
        None,
        "text",
    ),
    ("share", "train the whole network once for all runs that start with the same dense training", True, "bool"),
    (
        "dry_run",
        "print the plan (runs, steps, examples, multiply-adds) without training or writing anything",
        False,
        "bool",
    ),
    (
        "calibrate",
        "with dry_run: time the steps on this machine, and estimate the duration of the sweep",
        False,
        "bool",
    ),
]
FIXED = ("method", "sparsity", "seed", "run_dir", "export_dir", "shared_dir")  # set for each run by the grid


def page() -> str:
    """Returns the --help page."""
    fields = [field for field in dataclasses.fields(RunConfig) if field.name not in FIXED]
    return help_text(
        USAGE, {"The sweep": [(name, text, default) for name, text, default, _ in GRID], **field_groups(fields)}
    )


def main(argv: Sequence[str]) -> int:
    """Parses the flags, and trains the runs that are not complete or prints the plan."""
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
        start_tensorflow(announce=True)
        from dlth_tf.sweeps.dry_run import print_plan

        print_plan(grid, values.parallel if values.backend == "local" else 1, values.calibrate)
        return DONE
    backend = _backend(values)
    write_plan(grid, values.sweep_dir, values.allocation)
    status = run_grid(grid, values.sweep_dir, backend)
    if status.reused:
        print(status.summary())
    print(f"{len(grid) - len(status.failed)} of {len(grid)} runs complete in {values.sweep_dir}")
    for run_dir, reason in status.failed.items():
        print(f"failed: {run_dir}: {reason}", file=sys.stderr)
    return FAILED if status.failed else DONE


def _check(values: flags.FlagValues) -> None:
    if values.backend not in ("local", "ray"):
        raise BadInput("backend", values.backend, "must be local or ray")
    whole_number("parallel", values.parallel, least=1)
    whole_number("max_retries", values.max_retries, least=0)
    real_number("cpus_per_run", values.cpus_per_run, ABOVE_0)
    real_number("gpus_per_run", values.gpus_per_run, AT_LEAST_0)
    if values.calibrate and not values.dry_run:
        raise BadInput("calibrate", True, "requires --dry_run")
    _seconds(values.time_limit)


def _backend(values: flags.FlagValues) -> Backend:
    limit = _seconds(values.time_limit)
    if values.backend == "local":
        return LocalBackend(values.parallel, values.max_retries, limit)
    return RayBackend(values.ray_address, values.cpus_per_run, values.gpus_per_run, values.max_retries, limit)


def _seconds(text: str | None) -> float | None:
    """Returns a value of --time_limit in seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", text)
    if match is None or not float(match[1]):
        raise BadInput("time_limit", text, "must be a time above 0 such as 90s, 30min or 2h")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


def console_script() -> int:
    """Runs `dlth-sweep`."""
    return run_console_script("dlth-sweep", main)


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.sweep", main))
