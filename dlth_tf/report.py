"""Reports on a sweep: a table, a plot and every number as CSV.

python -m dlth_tf.report --sweep_dir=DIR
"""

from __future__ import annotations

import sys

from absl import flags
from rich.console import Console

from dlth_tf.analysis.report import write_report
from dlth_tf.errors import BadInput

# Its own set of flags: the sweep command has a --sweep_dir too, and both may be imported into one process.
FLAGS = flags.FlagValues()
flags.DEFINE_string("sweep_dir", None, "Directory that a sweep wrote; the report is written into it.", flag_values=FLAGS)


def main(argv: list[str]) -> int:
    """Parses `argv`, writes the report, prints its table, and returns the exit code."""
    try:
        FLAGS(argv)
        if not FLAGS.sweep_dir:
            raise BadInput("sweep_dir", "", "must name the directory that a sweep wrote")
        report = write_report(FLAGS.sweep_dir)
    except (BadInput, flags.Error) as error:
        print(f"dlth_tf.report: {'--' if isinstance(error, BadInput) else ''}{error}", file=sys.stderr)
        return 2
    Console().print(report.console)
    if report.missing:
        print(report.missing_sentence)
    print(f"Wrote {report.results_csv}, {report.table_md} and {report.plot}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
