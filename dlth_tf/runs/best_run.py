"""The best run of a sweep, for an export."""

from __future__ import annotations

import os
from pathlib import Path

from dlth_tf.analysis.results import read_results
from dlth_tf.errors import BadInput


def best_run(sweep_dir: str | os.PathLike[str], method: str) -> Path:
    """Returns the run of a method with the best validation accuracy; among equals the sparsest, then the first seed.

    Raises:
      BadInput: If the sweep has no complete run of that method.
    """
    results = read_results(sweep_dir)
    runs = results[results["method"] == method].sort_values(
        ["val_accuracy_last", "sparsity", "seed"], ascending=[False, False, True]
    )
    if runs.empty:
        raise BadInput(
            "method", method, f"has no complete run in {sweep_dir}; there are {', '.join(results['method'].unique())}"
        )
    return Path(sweep_dir) / runs.iloc[0]["run_dir"]
