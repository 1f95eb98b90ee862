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

from dlth_tf import files
from dlth_tf.commands import DONE, FAILED, define, parse, run_command
from dlth_tf.console import help_text
from dlth_tf.data.names import check_name
from dlth_tf.errors import BadInput, shown
from dlth_tf.export_options import ExportOptions, ServingOptions, parse_size
from dlth_tf.registry import is_path
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting.trust import NO_TRUST, Trust
from dlth_tf.tensorflow_start import start_tensorflow

USAGE = """Exports the network of a complete run, or a saved Keras model, in one or several forms.

Each form is checked in a fresh process before it appears.

  python -m dlth_tf.export --run_dir=DIR --export_dir=saved_models/NAME
  python -m dlth_tf.export --run_dir=DIR --formats=packed,plain,compact,tflite --values=float16
  python -m dlth_tf.export --sweep_dir=DIR --method=rst --sparsity=.98 --export_dir=saved_models/NAME
  python -m dlth_tf.export --keras_model=FILE.keras --dataset=npz:ARRAYS.npz --formats=packed,tflite
  python -m dlth_tf.export --check saved_models/NAME"""
FLAGS = [
    ("run_dir", "directory of a complete run", None, "text"),
    (
        "sweep_dir",
        "instead of run_dir: directory of a sweep, whose run with the best validation accuracy is exported",
        None,
        "text",
    ),
    (
        "keras_model",
        "instead of run_dir: a model of your own: a .keras or .h5 file or a SavedModel of tf_keras, or a .keras file "
        "of Keras 3",
        None,
        "text",
    ),
    ("check", "check the files and outputs of an earlier export, in this folder, and export nothing", None, "text"),
    ("method", "with sweep_dir: method whose runs are considered", "rst", "text"),
    ("sparsity", "with sweep_dir: sparsity of the runs that are considered; default any", None, "float"),
    ("seed", "with sweep_dir: seed of the runs that are considered; default any", None, "int"),
    (
        "examples",
        "with keras_model: .npz file (np.savez) on whose examples the forms are compared and int8 is calibrated, one "
        "array for each input of the network under its name; default random inputs",
        None,
        "text",
    ),
    ("ticket", "with keras_model: file of a ticket whose removed weights must be zero in every form", None, "text"),
    (
        "export_dir",
        "directory to write to, one folder per form; default saved_models/<name of the run or of the saved model>",
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
    ("labels", "serve the names of the classes, where they are known", True, "bool"),
    (
        "image_bytes",
        "give the SavedModels of a classifier of images a second signature, image_bytes, that takes JPEG and PNG files",
        False,
        "bool",
    ),
    ("batch", "number of images in every call, if it is to be fixed (recurrent layers in LiteRT need it)", None, "int"),
    (
        "image_size",
        "size of all images in pixels, HEIGHTxWIDTH or one number for squares, if a network that takes any size is to "
        "be exported for one",
        None,
        "text",
    ),
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
        "fraction of the examples (those of the validation part, if there is one), 0 to 1, that must have the same "
        "class as in the Keras model; of tflite, a file below it is left out, and any other form is refused",
        None,
        "float",
    ),
    ("overwrite", "replace an existing export, and remove forms of another network beside it", False, "bool"),
    (
        "trust_run",
        "import the network and the data set that the run's config.json names as package.module:function, or load a "
        "saved model with Lambda layers or layers of other packages: their code runs with your rights, so only for "
        "files whose origin you trust",
        False,
        "bool",
    ),
    ("model", "package.module:function that may be imported if the run's config.json names it", None, "text"),
    (
        "dataset",
        "the same for the data set; without it, the export is compared on random images. With keras_model: data set "
        "whose examples the model takes as they are stored, as for train (npz:PATH for arrays of your own): the "
        "export is compared on its test examples, int8 is judged on its validation and calibrated with its training "
        "examples",
        None,
        "text",
    ),
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
    if values.check is not None:
        return _check_earlier(values)
    _check_source(values)
    forms = [word.strip() for word in values.formats.split(",") if word.strip()]
    settings = ExportOptions(forms, values.values, values.overwrite, values.measure_latency, values.min_agreement)
    settings.check()
    size = parse_size(values.image_size)
    served = ServingOptions(values.task, values.batch, values.labels, values.image_bytes, size)
    served.check(forms)
    report, export_dir = (_export_keras if values.keras_model else _export_run)(values, settings, served)
    describe(report, export_dir)
    return DONE


def describe(report: Mapping[str, Any], export_dir: Path) -> None:
    """Prints the tables of the export report, and the checks of each form."""
    from dlth_tf.deploy.report.tables import show, show_checks

    show(report)
    show_checks(report, export_dir)


def _check_earlier(values: flags.FlagValues) -> int:
    """Checks an earlier export, and prints a line for every form, or for everything that is wrong."""
    others = [name for name, *_ in FLAGS if name != "check" and values[name].present]
    if others:
        raise BadInput("check", values.check, f"cannot be combined with --{', --'.join(others)}")
    folder = Path(values.check)
    if not files.exists(folder / "export.json"):
        found = "it has no export.json" if folder.is_dir() else "there is no such folder"
        raise BadInput("check", folder, f"is not an export ({found})")
    start_tensorflow()
    from dlth_tf.deploy.checks.earlier import check_export

    checked = check_export(folder)
    for line in checked.passed:
        print(f"{folder}/{shown(line)}")
    for line in checked.failed:
        print(f"dlth_tf.export: {folder}/{shown(line)}", file=sys.stderr)
    return FAILED if checked.failed else DONE


SOURCES = ("run_dir", "sweep_dir", "keras_model")
KERAS_FILES = (".keras", ".h5", ".hdf5")
ONLY_WITH = {  # flag -> sources that it is for
    "method": ("sweep_dir",),
    "sparsity": ("sweep_dir",),
    "seed": ("sweep_dir",),
    "ticket": ("keras_model",),
    "examples": ("keras_model",),
    "model": ("run_dir", "sweep_dir"),
}


def _check_source(values: flags.FlagValues) -> None:
    """Raises BadInput unless there is one source, and all flags are for it."""
    given = [name for name in SOURCES if values[name].value is not None]
    if len(given) != 1:
        first = given[0] if given else SOURCES[0]
        allowed = "exactly one of --run_dir, --sweep_dir and --keras_model is required"
        raise BadInput(first, values[first].value or "(missing)", allowed)
    for name, sources in ONLY_WITH.items():
        if values[name].present and given[0] not in sources:
            raise BadInput(name, values[name].value, f"is for --{' and --'.join(sources)}, not for --{given[0]}")


def _export_run(
    values: flags.FlagValues, settings: ExportOptions, served: ServingOptions
) -> tuple[dict[str, Any], Path]:
    from dlth_tf.runs.exporting.best_run import Choice, best_run  # loads pandas

    choice = Choice(values.method, values.sparsity, values.seed)
    run_dir = Path(values.run_dir) if values.run_dir else best_run(values.sweep_dir, choice)
    RunDirectory(run_dir).check_complete()
    export_dir = Path(values.export_dir or f"saved_models/{run_dir.resolve().name}")
    trust = Trust(frozenset(filter(None, (values.model, values.dataset))), values.trust_run)
    _start(users_code=trust != NO_TRUST)
    from dlth_tf.runs.exporting.export_run import export_run

    return export_run(run_dir, export_dir, settings, trust, served), export_dir


def _export_keras(
    values: flags.FlagValues, settings: ExportOptions, served: ServingOptions
) -> tuple[dict[str, Any], Path]:
    path = Path(values.keras_model)
    if not files.exists(path):
        raise BadInput("keras_model", path, "there is no such file or directory")
    if values.examples is not None and values.dataset is not None:
        raise BadInput("examples", values.examples, "cannot be combined with --dataset, which has examples of its own")
    if values.examples is not None and not files.exists(values.examples):
        raise BadInput("examples", values.examples, "there is no such file")
    if values.dataset is not None:
        check_name(values.dataset)
    elif values["labels"].present:
        raise BadInput("labels", values.labels, "is for models with --dataset, which names the classes")
    named = path.resolve()
    name = named.stem if named.suffix in KERAS_FILES else named.name  # a folder, such as net_0.98
    export_dir = Path(values.export_dir or f"saved_models/{name}")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # as exports need it; a file of Keras 3 belongs to no backend
    _start(users_code=values.trust_run or is_path(values.dataset or ""))
    from dlth_tf.runs.exporting.export_keras import SavedModel, export_keras

    saved = SavedModel(path, values.ticket, values.dataset, values.examples, values.trust_run)
    return export_keras(saved, export_dir, settings, served), export_dir


def _start(users_code: bool) -> None:
    """Starts TensorFlow; code of the user's own may be in the working directory."""
    if users_code and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    start_tensorflow(announce=True)


def console_script() -> int:
    """Runs `dlth-export`."""
    return run_command("dlth-export", main)


class _CallableModule(types.ModuleType):
    """Makes this module callable: `dlth_tf.export` is both the module of the command and the public function."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        model = args[0] if args else kwargs.get("model")
        from dlth_tf.masking.world import package_of

        if package_of(model) == "keras":
            from dlth_tf.deploy.keras3.exporting import export_keras3

            return export_keras3(*args, **kwargs)
        from dlth_tf.deploy.export import export

        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.export", main))
