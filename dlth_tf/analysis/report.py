"""Report on a sweep: all results as CSV, the table, the verdict, the plots, and all of it on one HTML page."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dlth_tf import files
from dlth_tf.analysis import costs
from dlth_tf.analysis.answers import QUESTION
from dlth_tf.analysis.findings import Findings, read_findings
from dlth_tf.analysis.names import markdown_text, spreadsheet_text
from dlth_tf.analysis.pages.sweep_page import sweep_page
from dlth_tf.analysis.plotting.plots import accuracy_vs_cost, accuracy_vs_sparsity
from dlth_tf.analysis.plotting.training_curves import over_training
from dlth_tf.analysis.results import measure_of
from dlth_tf.analysis.tables import markdown, markdown_table
from dlth_tf.analysis.verdict import DEFAULT_MARGIN, verdict_json
from dlth_tf.errors import BadInput
from dlth_tf.measures import MSE

FILES = (
    "results.csv",
    "table.md",
    "verdict.json",
    "accuracy_vs_sparsity.png",
    "accuracy_vs_cost.png",
    "report.html",
)
OF_HISTORIES = "accuracy_over_training.png"


def write_report(sweep_dir: str | os.PathLike[str], margin: float = DEFAULT_MARGIN) -> Findings:
    """Writes `FILES` into the directory of a sweep, without the pictures if it has more methods than looks.

    With the history.csv of its runs it also writes `OF_HISTORIES`. In regression the pictures are named after the
    error, as in mse_vs_sparsity.png.

    Args:
      sweep_dir: Directory of the sweep; at least one of its runs must be complete.
      margin: Largest difference that counts as equivalent, in points, above 0.

    Returns:
      The findings that the report states.

    Raises:
      BadInput: If the margin or a file in `sweep_dir` is invalid (nothing is written then), or if `sweep_dir` cannot be
        written to.
    """
    findings = read_findings(sweep_dir, margin)
    pictures = _pictures(findings)
    contents: dict[str, str | bytes] = {
        "results.csv": _results_csv(findings.results),
        "table.md": _table_md(findings),
        "verdict.json": _verdict_json(findings),
        **pictures,
        "report.html": sweep_page(findings, pictures),
    }
    write_all(findings.root, contents, "sweep_dir")
    mine = (*FILES, OF_HISTORIES)
    for name in {*mine, *(name.replace("accuracy", MSE.name) for name in mine)} - set(contents):  # of an earlier report
        with contextlib.suppress(OSError):
            (findings.root / name).unlink()
    return findings


def _pictures(findings: Findings) -> dict[str, bytes]:
    draws = (
        lambda: accuracy_vs_sparsity(findings.results),
        lambda: accuracy_vs_cost(findings.results),
        lambda: over_training(findings.curves, findings.results),
    )
    return {name: draw() for name, draw in zip(findings.picture_names, draws, strict=False)}


def write_all(folder: Path, contents: Mapping[str, str | bytes], thing: str) -> None:
    """Writes files atomically: all of them, or none.

    Args:
      folder: Directory to write to.
      contents: Content by file name.
      thing: Flag that named `folder`, for the error message.

    Raises:
      BadInput: If `folder` cannot be written to.
    """
    try:
        files.write_all(folder, contents)
    except OSError as error:
        raise BadInput(thing, folder, f"cannot be written to ({error.strerror})") from None


def _results_csv(results: pd.DataFrame) -> str:
    names = [name for name in results if not pd.api.types.is_numeric_dtype(results[name])]
    return results.assign(**{name: results[name].map(spreadsheet_text) for name in names}).to_csv(
        index=False, lineterminator="\n"
    )


def _table_md(findings: Findings) -> str:
    parts = [f"**{QUESTION}**\n", _bullets(findings.answers)] if findings.answers else []
    parts.append(markdown_table(findings.results))
    if findings.missing:
        parts.append(markdown_text(findings.missing_sentence) + "\n")
    parts.append(_bullets(findings.sentences))
    if findings.notes:
        parts.append(" ".join(findings.notes) + "\n")
    results = findings.results
    parts += [markdown(costs.header(results), costs.cost_rows(results)), costs.notes(results) + "\n"]
    return "\n".join(parts)


def _bullets(sentences: Iterable[str]) -> str:
    return "".join(f"- {sentence}\n" for sentence in sentences)


def _verdict_json(findings: Findings) -> str:
    numbers = verdict_json(
        findings.verdicts, findings.margin, findings.settings.test_images, measure_of(findings.results)
    )
    document: dict[str, Any] = numbers | {
        "answers": findings.answers,
        "sentences": findings.sentences,
        "notes": findings.notes,
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
