"""`python -m dlth_tf.sweep`: a grid of runs over methods, sparsities and seeds."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from dlth_tf.commands import DONE, FAILED, define, define_fields, field_groups, help_text, parse, run_command
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.grid import make_grid, run_grid, write_plan

USAGE = """Runs every combination of methods, sparsities and seeds; runs that are complete already are not run again.

  python -m dlth_tf.sweep --flagfile=flags/digits/demo.flags [--any_flag=...]"""
GRID = [
    ("methods", "comma list of methods; required", None, "list"),
    ("sparsities", "comma list of sparsities, at least 0 and below 1; required unless every method is dense", None, "list"),
    ("seeds", "comma list of seeds", "0", "list"),
    ("sweep_dir", "one run directory per run goes here", "runs/sweep", "text"),
    ("backend", "local: processes on this machine", "local", "text"),
    ("parallel", "runs at a time, each in a process of its own with its share of the cores", 1, "int"),
    ("dry_run", "print the list of runs and run nothing", False, "bool"),
]
FIXED = ("method", "sparsity", "seed", "run_dir", "export_dir")  # what the grid sets for each run


def page() -> str:
    """The --help page."""
    fields = [field for field in dataclasses.fields(RunConfig) if field.name not in FIXED]
    return help_text(USAGE, {"The sweep": [(name, text, default) for name, text, default, _ in GRID], **field_groups(fields)})


def main(argv: Sequence[str]) -> int:
    """Parses flags, runs what is missing, lists what failed."""
    values = flags.FlagValues()
    fields = [field for field in dataclasses.fields(RunConfig) if field.name not in FIXED]
    define_fields(values, fields)
    for name, text, default, kind in GRID:
        define(values, name, default, text, kind)
    parse(values, argv, page)
    if values.backend != "local":
        raise BadInput("backend", values.backend, "must be local")
    if values.parallel < 1:
        raise BadInput("parallel", values.parallel, "must be at least 1")
    shared: dict[str, Any] = {field.name: values[field.name].value for field in fields}
    grid = make_grid(values.methods, values.sparsities, values.seeds, values.sweep_dir, shared)
    if values.dry_run:
        print("\n".join(str(config.run_dir) for config in grid), f"{len(grid)} runs", sep="\n")
        return DONE
    write_plan(grid, values.sweep_dir)
    failed = run_grid(grid, values.parallel)
    print(f"{len(grid) - len(failed)} of {len(grid)} runs complete in {values.sweep_dir}")
    for run_dir, reason in failed:
        print(f"failed: {run_dir}: {reason}", file=sys.stderr)
    return FAILED if failed else DONE


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.sweep", main))
