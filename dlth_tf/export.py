"""`python -m dlth_tf.export`: exports a run as SavedModels and LiteRT files; `dlth_tf.export()` exports a model."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[0] == os.getcwd():
    del sys.path[0]  # `python -m` looks for modules in the working directory first, which may be somebody else's run

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from dlth_tf.commands import DONE, define, parse, run_command
from dlth_tf.console import help_text
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, check_serving
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.trust import NO_TRUST, Trust
from dlth_tf.tensorflow_start import start_tensorflow

USAGE = """Exports the network of a complete run in one or several forms, and checks each of them in a fresh process.

  python -m dlth_tf.export --run_dir=DIR --export_dir=saved_models/NAME
  python -m dlth_tf.export --run_dir=DIR --formats=packed,plain,compact,tflite --values=float16
  python -m dlth_tf.export --sweep_dir=DIR --method=rst --export_dir=saved_models/NAME"""
FLAGS = [
    ("run_dir", "directory of a complete run", None, "text"),
    (
        "sweep_dir",
        "instead of run_dir: directory of a sweep, whose run with the best validation accuracy is exported",
        None,
        "text",
    ),
    ("method", "with sweep_dir: method whose runs are considered", "rst", "text"),
    (
        "export_dir",
        "directory to write to, one folder per form; default saved_models/<name of the run directory>",
        None,
        "text",
    ),
    (
        "formats",
        "comma-separated list of forms: plain (a SavedModel that stores the zeros), packed (the smallest SavedModel), "
        "compact (a smaller network, if filters or channels were removed), tflite (files for LiteRT; "
        "tflite_float32, tflite_float16, tflite_int8: one of them), onnx (a file for onnxruntime and OpenVINO)",
        "plain",
        "list",
    ),
    (
        "task",
        "how the network is served: classifier (logits, probabilities, class, label), raw (its outputs under their own "
        "names), or auto, which decides by its output",
        "auto",
        "text",
    ),
    ("batch", "number of images in every call, if it is to be fixed (recurrent layers in LiteRT need it)", None, "int"),
    (
        "values",
        "format of the weights in packed: float32, float16, bfloat16 or int8 with a scale per output channel (computed "
        "in float32)",
        "float32",
        "text",
    ),
    (
        "measure_latency",
        "measure the latency of each form and of the dense network, at batch sizes 1, 8 and 64 with one thread",
        True,
        "bool",
    ),
    (
        "min_agreement",
        "fraction of the examples, 0 to 1, that must have the same class as in the Keras model; of tflite, a file "
        "below it is left out, and any other form is refused",
        None,
        "float",
    ),
    ("overwrite", "replace an existing export", False, "bool"),
    (
        "trust_run",
        "import the network and the data set that the run's config.json names as package.module:function: their code "
        "runs with your rights, so only for runs whose origin you trust",
        False,
        "bool",
    ),
    ("model", "package.module:function that may be imported if the run's config.json names it", None, "text"),
    ("dataset", "the same for the data set; without it, the export is compared on random images", None, "text"),
]


def page() -> str:
    """Returns the --help page."""
    return help_text(USAGE, {"Flags": [(name, text, default) for name, text, default, _ in FLAGS]})


def main(argv: Sequence[str]) -> int:
    """Parses the flags, exports, and prints a description of the export."""
    values = flags.FlagValues()
    for name, text, default, kind in FLAGS:
        define(values, name, default, text, kind)
    parse(values, argv, page)
    if (values.run_dir is None) == (values.sweep_dir is None):
        raise BadInput("run_dir", values.run_dir or "(missing)", "exactly one of --run_dir and --sweep_dir is required")
    forms = [word.strip() for word in values.formats.split(",") if word.strip()]
    settings = ExportOptions(forms, values.values, values.overwrite, values.measure_latency, values.min_agreement)
    settings.check()
    from dlth_tf.runs.best_run import best_run  # loads pandas

    check_serving(values.task, values.batch)
    run_dir = Path(values.run_dir) if values.run_dir else best_run(values.sweep_dir, values.method)
    RunDirectory(run_dir).check_complete()
    export_dir = Path(values.export_dir or f"saved_models/{run_dir.resolve().name}")
    trust = Trust(frozenset(filter(None, (values.model, values.dataset))), values.trust_run)
    if trust != NO_TRUST and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where the user's own code may be
    start_tensorflow()
    from dlth_tf.runs.export_run import export_run

    report = export_run(run_dir, export_dir, settings, trust, task=values.task, batch=values.batch)
    describe(report, export_dir)
    return DONE


def describe(report: Mapping[str, Any], export_dir: Path) -> None:
    """Prints the tables of the export report, and the checks of each form."""
    from dlth_tf.deploy.report.tables import show

    show(report)
    print(report["served"]["decision"])
    checks = report["verification"]
    images = f"{checks['images']:,} {checks['on']}"
    print(f"checked in a fresh process with TensorFlow {checks['tensorflow']} alone, on {images}:")
    for form, facts in report["forms"].items():
        allowed = "anything" if facts["tolerance"] is None else f"{facts['tolerance']:.1g}"
        difference = f"outputs differ by at most {facts['max_difference']:.1g} (allowed: {allowed})"
        print(f"{export_dir / form}: {difference}{_accuracy(facts)}")
    if checks["accuracy"] is not None:
        print(f"accuracy of the Keras model on them: {100 * checks['accuracy']:.2f} %")


def _accuracy(facts: Mapping[str, Any]) -> str:
    return "" if facts["accuracy"] is None else f", accuracy {100 * facts['accuracy']:.2f} %"


class _CallableModule(types.ModuleType):
    """Makes this module callable: `dlth_tf.export` is both the module of the command and the public function."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        from dlth_tf.deploy import export

        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.export", main))
