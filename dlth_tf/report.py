"""`python -m dlth_tf.report`: tables, plots and verdict of a sweep, or the weights of one run over time."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[0] == os.getcwd():
    del sys.path[0]  # `python -m` looks for modules in the working directory first, which may be somebody else's run

from collections.abc import Sequence

from absl import flags
from rich.console import Console
from rich.text import Text

from dlth_tf.commands import DONE, define, parse, run_command
from dlth_tf.console import announced, help_text, standard_output
from dlth_tf.errors import BadInput

with announced("loading pandas and matplotlib ..."):
    from dlth_tf.analysis.answers import QUESTION
    from dlth_tf.analysis.pages.run_page import write_run_report
    from dlth_tf.analysis.report import FILES, write_report
    from dlth_tf.analysis.tables import console_table
    from dlth_tf.analysis.verdict import DEFAULT_MARGIN

USAGE = f"""For a sweep: prints the table and the verdict, and writes {", ".join(FILES[:-1])}
and {FILES[-1]} (all of it on one page) into its directory.
For one run: writes a page on its weights, weights.html, and the plots on it into its folder report/.

  python -m dlth_tf.report --sweep_dir=DIR
  python -m dlth_tf.report --run_dir=DIR"""
FLAGS = [
    ("sweep_dir", "directory of a sweep, complete or not; either this or run_dir is required", None, "text"),
    ("run_dir", "directory of a complete run", None, "text"),
    (
        "margin",
        "with sweep_dir: largest difference that counts as equivalent, in points of test accuracy, or of regression in "
        f"percent of the variance of the test targets; default {DEFAULT_MARGIN}",
        None,
        "float",
    ),
]


def page() -> str:
    """Returns the --help page."""
    return help_text(USAGE, {"The report": [(name, text, default) for name, text, default, _ in FLAGS]})


def main(argv: Sequence[str]) -> int:
    """Parses the flags, and writes the report on a sweep or on a run."""
    values = flags.FlagValues()
    for name, text, default, kind in FLAGS:
        define(values, name, default, text, kind)
    parse(values, argv, page)
    if not values.sweep_dir and not values.run_dir:
        raise BadInput("sweep_dir", "(missing)", "exactly one of --sweep_dir and --run_dir is required")
    if values.sweep_dir and values.run_dir:
        raise BadInput("run_dir", values.run_dir, "cannot be combined with --sweep_dir")
    if values.sweep_dir:
        report_on_sweep(values.sweep_dir, DEFAULT_MARGIN if values.margin is None else values.margin)
    else:
        if values.margin is not None:
            raise BadInput("margin", values.margin, "cannot be combined with --run_dir: a single run is not compared")
        report_on_run(values.run_dir)
    return DONE


def report_on_sweep(sweep_dir: str, margin: float) -> None:
    """Writes the report on a sweep; prints answers, table, missing runs, verdict and the path of the page."""
    findings = write_report(sweep_dir, margin)
    console = standard_output()
    if findings.answers:
        _print_paragraphs(console, [QUESTION, *findings.answers])
    console.print(console_table(findings.results), end="\n\n")
    _print_paragraphs(console, [findings.missing_sentence, *findings.sentences])
    _print_paragraphs(console, [" ".join(findings.notes), findings.too_many_to_draw], style="dim")
    written = [*(name for name in FILES[:-1] if not name.endswith(".png")), *findings.picture_names]
    print(f"wrote {', '.join(written)} and, all of it on one page,\n{findings.root / FILES[-1]}")


def report_on_run(run_dir: str) -> None:
    """Writes the page on a run; prints its sentences and its path."""
    report = write_run_report(run_dir)
    _print_paragraphs(standard_output(), report.sentences)
    print(f"wrote\n{report.page}")


def _print_paragraphs(console: Console, texts: Sequence[str], style: str = "") -> None:
    """Prints each nonempty text as a wrapped paragraph, without interpreting square brackets as markup."""
    for text in filter(None, texts):
        console.print(Text(text, style=style), end="\n\n")


def console_script() -> int:
    """Runs `dlth-report`."""
    return run_command("dlth-report", main)


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.report", main))
