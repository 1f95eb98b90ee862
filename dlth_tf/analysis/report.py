"""The report on a sweep: every result as CSV, the table, the verdict, the pictures, and all of it as one page."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from dlth_tf import files
from dlth_tf.analysis.costs import HEADER as COST_HEADER
from dlth_tf.analysis.costs import NOTES as COST_NOTES
from dlth_tf.analysis.costs import cost_rows
from dlth_tf.analysis.planned_runs import MissingRun, missing_runs
from dlth_tf.analysis.plots import accuracy_vs_cost, accuracy_vs_sparsity
from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.sentences import conclusions, notes
from dlth_tf.analysis.settings import read_setup
from dlth_tf.analysis.sweep_page import sweep_page
from dlth_tf.analysis.tables import console_table, markdown, markdown_table
from dlth_tf.analysis.verdict import DEFAULT_MARGIN, check_margin, judge, verdict_json
from dlth_tf.errors import BadInput

FILES = ("results.csv", "table.md", "verdict.json", "accuracy_vs_sparsity.png", "accuracy_vs_cost.png", "report.html")


@dataclass(frozen=True)
class Report:
    """What `write_report` wrote and found.

    Attributes:
      root: the directory with `FILES`.
      console: the table for the console.
      sentences: the verdict, a sentence per transformed ticket and sparsity.
      notes: how to read them.
      missing: the planned runs without a result.
    """

    root: Path
    console: Table
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    missing: tuple[MissingRun, ...]

    @property
    def missing_sentence(self) -> str:
        """Names the missing runs; empty if there are none."""
        return _missing_sentence(self.missing)


def write_report(sweep_dir: str | os.PathLike[str], margin: float = DEFAULT_MARGIN) -> Report:
    """Writes `FILES` into a sweep's directory.

    Args:
      sweep_dir: the directory that a sweep wrote; it may be incomplete, as long as one run is complete.
      margin: differences below it count as equivalent, points of test accuracy, above 0.

    Raises:
      BadInput: the margin, or what is in `sweep_dir`, cannot be used, and nothing was written; or it cannot be written to.
    """
    check_margin(margin)
    root = Path(sweep_dir)
    results, missing = read_results(root), missing_runs(root)
    setup = read_setup(root, results["run_dir"])
    verdicts = judge(results, margin, setup.test_images)
    sentences, remarks = conclusions(verdicts), notes(verdicts, margin, setup.test_images, len(missing))
    pictures = {
        "accuracy_vs_sparsity.png": accuracy_vs_sparsity(results),
        "accuracy_vs_cost.png": accuracy_vs_cost(results),
    }
    contents: dict[str, str | bytes] = {
        "results.csv": results.to_csv(index=False, lineterminator="\n"),
        "table.md": _table_md(results, sentences, remarks, missing),
        "verdict.json": _json(
            verdict_json(verdicts, margin, setup.test_images) | {"sentences": sentences, "notes": remarks}
        ),
        **pictures,
        "report.html": sweep_page(results, sentences, remarks, missing, setup, pictures),
    }
    write_all(root, contents, "sweep_dir")
    return Report(root, console_table(results), tuple(sentences), tuple(remarks), missing)


def write_all(folder: Path, contents: Mapping[str, str | bytes], thing: str) -> None:
    """Writes the files one after the other, each whole or not at all.

    Raises:
      BadInput: `folder` cannot be written to; `thing` is the flag that named it.
    """
    try:
        for name, data in contents.items():
            files.write_atomic(folder / name, data)
    except OSError as error:
        raise BadInput(thing, folder, f"cannot be written to ({error.strerror})") from None


def _table_md(results: pd.DataFrame, sentences: list[str], remarks: list[str], missing: tuple[MissingRun, ...]) -> str:
    parts = [markdown_table(results)]
    if missing:
        parts.append(_missing_sentence(missing) + "\n")
    parts.append("".join(f"- {sentence}\n" for sentence in sentences))
    if remarks:
        parts.append(" ".join(remarks) + "\n")
    parts += [markdown(COST_HEADER, cost_rows(results)), COST_NOTES + "\n"]
    return "\n".join(parts)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _missing_sentence(missing: tuple[MissingRun, ...]) -> str:
    return (
        f"Missing ({len(missing)}): {', '.join(f'{run.run_dir} ({run.state})' for run in missing)}." if missing else ""
    )
