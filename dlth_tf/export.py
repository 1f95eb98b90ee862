"""`python -m dlth_tf.export`: a run directory -> a SavedModel. `dlth_tf.export(...)` does the same with a model at hand."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from dlth_tf.commands import DONE, define, help_text, parse, run_command
from dlth_tf.errors import BadInput
from dlth_tf.quiet import start_tensorflow

USAGE = """Writes the network of a finished run as a SavedModel that any TensorFlow loads, and checks it.

  python -m dlth_tf.export --run_dir=DIR --export_dir=saved_models/NAME
  python -m dlth_tf.export --sweep_dir=DIR --method=rst --export_dir=saved_models/NAME"""
FLAGS = [
    ("run_dir", "directory of a complete run", None, "text"),
    ("sweep_dir", "instead of run_dir: the run with the best validation accuracy in this sweep", None, "text"),
    ("method", "with sweep_dir: among the runs of this method", "rst", "text"),
    ("export_dir", "one folder per form goes here; default saved_models/<name of the run directory>", None, "text"),
    ("formats", "comma list of forms: plain", "plain", "list"),
    ("overwrite", "replace an earlier export", False, "bool"),
]


def main(argv: Sequence[str]) -> int:
    """Parses flags, exports, says what was written."""
    values = flags.FlagValues()
    for name, text, default, kind in FLAGS:
        define(values, name, default, text, kind)
    parse(values, argv, lambda: help_text(USAGE, {"Flags": [(name, text, default) for name, text, default, _ in FLAGS]}))
    if (values.run_dir is None) == (values.sweep_dir is None):
        raise BadInput("run_dir", values.run_dir or "(missing)", "give either a run directory or --sweep_dir")
    start_tensorflow()
    from dlth_tf.runs.export_run import best_run, export_run

    run_dir = Path(values.run_dir) if values.run_dir else best_run(values.sweep_dir, values.method)
    export_dir = Path(values.export_dir or f"saved_models/{run_dir.name}")
    forms = [word.strip() for word in values.formats.split(",") if word.strip()]
    report = export_run(run_dir, export_dir, formats=forms, overwrite=values.overwrite)
    parameters = report["parameters"]
    for form, facts in report["forms"].items():
        print(
            f"{export_dir / form}: {facts['bytes']:,} bytes, {parameters['nonzero']:,} of {parameters['total']:,} parameters are not zero"
        )
        print(
            f"checked: loaded again, logits differ from the Keras model's by at most {facts['max_difference']:.1g}, zeros are the ticket's"
        )
    return DONE


class _CallableModule(types.ModuleType):
    """The name `dlth_tf.export` is both this command's module and the public function."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        from dlth_tf.deploy import export

        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.export", main))
