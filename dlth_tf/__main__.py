"""`python -m dlth_tf`: lists the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from dlth_tf.commands import DONE, parse, run_command

PAGE = """Dual lottery tickets for TensorFlow and Keras. Four commands, each with --help:

  dlth-train   python -m dlth_tf.train    trains one network by one method
  dlth-sweep   python -m dlth_tf.sweep    trains a grid of runs over methods, sparsities and seeds
  dlth-report  python -m dlth_tf.report   writes tables, plots and verdict of a sweep, or a page on one run
  dlth-export  python -m dlth_tf.export   exports the network of a run as SavedModels and LiteRT files

  dlth-train --recipes                    lists the recipes of the package, with cost and expected result
  dlth-train --flagfile=dlth:digits/rst   runs one of them
  --version                               prints the version"""


def main(argv: Sequence[str]) -> int:
    """Prints the commands."""
    parse(flags.FlagValues(), argv, lambda: PAGE)
    print(PAGE)
    return DONE


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf", main))
