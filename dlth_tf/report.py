"""`python -m dlth_tf.report`: a sweep's table, plot and numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags
from rich.console import Console

from dlth_tf.analysis.report import write_report
from dlth_tf.commands import DONE, define, help_text, parse, run_command
from dlth_tf.errors import BadInput

USAGE = """Writes results.csv, table.md and accuracy_vs_sparsity.png into a sweep's directory, and prints the table.

  python -m dlth_tf.report --sweep_dir=DIR"""
SWEEP_DIR = ("sweep_dir", "the directory that a sweep wrote, complete or not; required", None)


def page() -> str:
    """The --help page."""
    return help_text(USAGE, {"The report": [SWEEP_DIR]})


def main(argv: Sequence[str]) -> int:
    """Parses flags, writes the report, prints its table and names what is missing."""
    values = flags.FlagValues()
    name, text, default = SWEEP_DIR
    define(values, name, default, text)
    parse(values, argv, page)
    if not values.sweep_dir:
        raise BadInput("sweep_dir", "", "must name the directory that a sweep wrote")
    report = write_report(values.sweep_dir)
    Console().print(report.console)
    if report.missing:
        print(report.missing_sentence)
    print(f"wrote {report.results_csv}, {report.table_md} and {report.plot}")
    return DONE


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.report", main))
