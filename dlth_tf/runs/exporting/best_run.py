"""The best run of a sweep, for an export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dlth_tf.analysis.results import measure_of, read_results
from dlth_tf.errors import BadInput


@dataclass(frozen=True)
class Choice:
    """The runs of a sweep that are considered.

    Args:
      method: Their method.
      sparsity: Their sparsity; None: any.
      seed: Their seed; None: any.
    """

    method: str
    sparsity: float | None = None
    seed: int | None = None


def best_run(sweep_dir: str | os.PathLike[str], choice: Choice) -> Path:
    """Returns the run with the best validation accuracy or error; among equals the sparsest, then the first seed.

    Raises:
      BadInput: If the sweep has no complete run of that method, that sparsity and that seed.
    """
    runs = read_results(sweep_dir)
    for name, value in vars(choice).items():
        if value is None:
            continue
        here = runs[runs[name] == value]
        if here.empty:
            found = ", ".join(f"{there}" for there in sorted(runs[name].unique()))
            others = "" if name == "method" else f" of {choice.method}"
            raise BadInput(name, value, f"has no complete run{others} in {sweep_dir}; there are {found}")
        runs = here
    measure = measure_of(runs)
    order = [not measure.higher_is_better, False, True]
    runs = runs.sort_values([f"val_{measure.name}_last", "sparsity", "seed"], ascending=order)
    return Path(sweep_dir) / runs.iloc[0]["run_dir"]
