"""`python -m dlth_tf.report`: a sweep's tables, pictures and verdict, or what happened to the weights of one run."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags
from rich.console import Console
from rich.text import Text

from dlth_tf.analysis.report import FILES, write_report
from dlth_tf.analysis.run_page import write_run_report
from dlth_tf.analysis.verdict import DEFAULT_MARGIN
from dlth_tf.commands import DONE, define, help_text, parse, run_command
from dlth_tf.errors import BadInput

USAGE = f"""A sweep: prints the table and the verdict, and writes {", ".join(FILES[:-1])}
and {FILES[-1]} (all of it on one page) into its directory.
One run: writes what happened to its weights into its folder report/ (weights.html and the pictures on it).

  python -m dlth_tf.report --sweep_dir=DIR
  python -m dlth_tf.report --run_dir=DIR"""
FLAGS = [
    ("sweep_dir", "the directory that a sweep wrote, complete or not; this or run_dir is required", None, "text"),
    ("run_dir", "the directory of one complete run", None, "text"),
    (
        "margin",
        f"differences below it count as equivalent, points of test accuracy; default {DEFAULT_MARGIN}",
        None,
        "float",
    ),
]


def page() -> str:
    """The --help page."""
    return help_text(USAGE, {"The report": [(name, text, default) for name, text, default, _ in FLAGS]})


def main(argv: Sequence[str]) -> int:
    """Parses flags and writes the one report or the other."""
    values = flags.FlagValues()
    for name, text, default, kind in FLAGS:
        define(values, name, default, text, kind)
    parse(values, argv, page)
    if not values.sweep_dir and not values.run_dir:
        raise BadInput("sweep_dir", "", "must name the directory that a sweep wrote (or --run_dir that of one run)")
    if values.sweep_dir and values.run_dir:
        raise BadInput(
            "run_dir", values.run_dir, "cannot be given together with --sweep_dir: a report is on one of them"
        )
    if values.sweep_dir:
        report_on_sweep(values.sweep_dir, DEFAULT_MARGIN if values.margin is None else values.margin)
    else:
        if values.margin is not None:
            raise BadInput("margin", values.margin, "is for --sweep_dir: one run is compared with nothing")
        report_on_run(values.run_dir)
    return DONE


def report_on_sweep(sweep_dir: str, margin: float) -> None:
    """Writes the report; prints the table, what is missing, the verdict, and last where the page is."""
    report = write_report(sweep_dir, margin)
    console = Console(highlight=False)
    console.print(report.console)
    _say(console, [report.missing_sentence, *report.sentences])
    _say(console, [" ".join(report.notes)], style="dim")
    print(f"wrote {', '.join(FILES[:-1])} and, all of it on one page,\n{report.root / FILES[-1]}")


def report_on_run(run_dir: str) -> None:
    """Writes the page on a run; prints its sentences, and where it is."""
    report = write_run_report(run_dir)
    _say(Console(highlight=False), report.sentences)
    print(f"wrote\n{report.page}")


def _say(console: Console, texts: Sequence[str], style: str = "") -> None:
    """Prints each text as a paragraph that fits the console; square brackets in it are no markup."""
    for text in filter(None, texts):
        console.print(Text(text, style=style), end="\n\n")


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.report", main))
