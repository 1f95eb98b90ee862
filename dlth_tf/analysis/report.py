"""The report on a sweep: every result as CSV, the table, the plot, and what is still missing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from dlth_tf.analysis.plan import PlannedRun, missing_runs
from dlth_tf.analysis.plots import accuracy_vs_sparsity
from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.tables import console_table, markdown_table
from dlth_tf.files import write_atomic


@dataclass(frozen=True)
class Report:
    """What `write_report` wrote and found.

    Attributes:
      results_csv: one row per complete run.
      table_md: the table, and the missing runs by name.
      plot: accuracy against sparsity, a PNG.
      table: method against sparsity in Markdown.
      console: the same table for the console.
      missing: the planned runs without a result.
    """

    results_csv: Path
    table_md: Path
    plot: Path
    table: str
    console: Table
    missing: tuple[PlannedRun, ...]

    @property
    def missing_sentence(self) -> str:
        """Names the missing runs; empty if there are none."""
        return f"Missing ({len(self.missing)}): {', '.join(run.run_dir for run in self.missing)}." if self.missing else ""


def write_report(sweep_dir: str | os.PathLike[str]) -> Report:
    """Writes `results.csv`, `table.md` and `accuracy_vs_sparsity.png` into a sweep's directory.

    Args:
      sweep_dir: the directory that a sweep wrote; it may be incomplete, as long as one run is complete.

    Raises:
      BadInput: what is in `sweep_dir` cannot be used; then nothing was written.
    """
    root = Path(sweep_dir)
    results, missing = read_results(root), missing_runs(root)
    report = Report(
        results_csv=root / "results.csv",
        table_md=root / "table.md",
        plot=root / "accuracy_vs_sparsity.png",
        table=markdown_table(results),
        console=console_table(results),
        missing=missing,
    )
    write_atomic(report.results_csv, results.to_csv(index=False, lineterminator="\n"))
    write_atomic(report.table_md, report.table + (f"\n{report.missing_sentence}\n" if missing else ""))
    accuracy_vs_sparsity(results, report.plot)
    return report
