"""`python -m dlth_tf.export`: a run directory -> SavedModels and LiteRT files. `dlth_tf.export(...)` does the same with a model at hand."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from dlth_tf.commands import DONE, define, help_text, parse, run_command
from dlth_tf.errors import BadInput
from dlth_tf.tensorflow_start import start_tensorflow

USAGE = """Writes the network of a finished run for use elsewhere, in one or several forms, and checks each in a fresh process.

  python -m dlth_tf.export --run_dir=DIR --export_dir=saved_models/NAME
  python -m dlth_tf.export --run_dir=DIR --formats=packed,plain,compact,tflite --values=float16
  python -m dlth_tf.export --sweep_dir=DIR --method=rst --export_dir=saved_models/NAME"""
FLAGS = [
    ("run_dir", "directory of a complete run", None, "text"),
    ("sweep_dir", "instead of run_dir: the run with the best validation accuracy in this sweep", None, "text"),
    ("method", "with sweep_dir: among the runs of this method", "rst", "text"),
    ("export_dir", "one folder per form goes here; default saved_models/<name of the run directory>", None, "text"),
    (
        "formats",
        "comma list of forms: plain (a SavedModel with zeros inside), packed (the smallest SavedModel), compact (a smaller network, if "
        "filters or channels were removed), tflite (files for LiteRT)",
        "plain",
        "list",
    ),
    ("values", "how packed stores weights: float32 or float16 (computed in float32)", "float32", "text"),
    (
        "measure_latency",
        "time each form, and its dense counterpart, at batch 1, 8 and 64 with one thread",
        True,
        "bool",
    ),
    ("overwrite", "replace an earlier export", False, "bool"),
]


def main(argv: Sequence[str]) -> int:
    """Parses flags, exports, says what was written."""
    values = flags.FlagValues()
    for name, text, default, kind in FLAGS:
        define(values, name, default, text, kind)
    parse(
        values, argv, lambda: help_text(USAGE, {"Flags": [(name, text, default) for name, text, default, _ in FLAGS]})
    )
    if (values.run_dir is None) == (values.sweep_dir is None):
        raise BadInput("run_dir", values.run_dir or "(missing)", "give either a run directory or --sweep_dir")
    start_tensorflow()
    from dlth_tf.runs.export_run import ExportOptions, best_run, export_run

    run_dir = Path(values.run_dir) if values.run_dir else best_run(values.sweep_dir, values.method)
    export_dir = Path(values.export_dir or f"saved_models/{run_dir.name}")
    forms = [word.strip() for word in values.formats.split(",") if word.strip()]
    settings = ExportOptions(forms, values.values, values.overwrite, values.measure_latency)
    report = export_run(run_dir, export_dir, settings)
    describe(report, export_dir)
    return DONE


def describe(report: Mapping[str, Any], export_dir: Path) -> None:
    """Prints the tables, and for each form what was checked."""
    from dlth_tf.deploy.report.tables import show

    show(report)
    compared = report["verification"]
    print(
        f"checked in a fresh process with TensorFlow {compared['tensorflow']} alone, on {compared['images']:,} {compared['on']}:"
    )
    for form, facts in report["forms"].items():
        allowed = "anything" if facts["tolerance"] is None else f"{facts['tolerance']:.1g}"
        print(
            f"{export_dir / form}: logits differ by at most {facts['max_difference']:.1g} (allowed: {allowed}){_accuracy(facts)}"
        )
    if compared["accuracy"] is not None:
        print(f"accuracy of the Keras model on them: {100 * compared['accuracy']:.2f} %")


def _accuracy(facts: Mapping[str, Any]) -> str:
    return "" if facts["accuracy"] is None else f", accuracy {100 * facts['accuracy']:.2f} %"


class _CallableModule(types.ModuleType):
    """The name `dlth_tf.export` is both this command's module and the public function."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        from dlth_tf.deploy import export

        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.export", main))
