"""Verification and timing of forms in fresh processes that have TensorFlow and nothing of this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf import files
from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.checks.probe import Probe
from dlth_tf.deploy.examples import Examples, check_examples
from dlth_tf.deploy.forms import Written
from dlth_tf.deploy.serving import expected_outputs
from dlth_tf.deploy.source import Source
from dlth_tf.errors import renamed
from dlth_tf.masking import weight_arrays
from dlth_tf.measures import MSE, Measure
from dlth_tf.plain_numbers import ABOVE_0, real_number

SECONDS = 1.0  # of timing, per batch size
TIMEOUT = 1800  # seconds that a fresh process may take


def verify(
    written: Mapping[str, Written],
    source: Source,
    examples: Examples,
    probe: Probe | None = None,
    limited: bool = False,
) -> tuple[dict[str, dict[str, Any]], dict[str, float | None]]:
    """Checks all forms in one fresh process.

    Args:
      written: Name -> form to check.
      source: The exported network, with the ticket whose removed weights must be zero.
      examples: Images on which the logits are compared.
      probe: Examples for later checks of the export; None: without one.
      limited: Whether all forms are judged on validation examples; otherwise those of LiteRT and of int8.

    Returns:
      Name -> facts that `standalone.checked` returns; and accuracy and mse of the Keras model itself, each None where
      the labels do not measure it.

    Raises:
      RuntimeError: If a form cannot be loaded or run, if its outputs differ from the model's, or if it has nonzero
        weights that the ticket removes.
    """
    serving = source.serving
    inputs = examples.inputs(serving.inputs(source.model))
    expected = expected_outputs(source.model, serving, inputs)
    count = len(next(iter(expected.values())))  # fewer than the examples where a fixed batch size does not divide them
    arrays = {f"input/{name}": array[:count] for name, array in inputs.items()}
    arrays |= {f"output/{name}": array for name, array in expected.items()}
    measure = measure_of(source, examples)
    labels = None if measure is None else examples.labels
    if labels is not None:
        arrays["labels"] = labels[:count]
    arrays |= {f"probe_{name}": array for name, array in (probe.arrays if probe else {}).items()}
    arrays |= {f"mask/{name}": mask for name, mask in (source.ticket or {}).items()}
    arrays |= _validation(source)
    for name, form in written.items():
        if not form.same_weights:
            _check_ticket(name, source)
    forms = [_description(name, form, source) for name, form in written.items()]
    for described in forms:
        described["judged"] = limited or described["kind"] == "tflite" or described["tolerance"] is None
    facts = in_a_fresh_process({"what": "check", "threads": 0, "forms": forms}, arrays)
    for judged in filter(None, (found.get("validation") for found in facts.values())):
        judged["on"] = source.validation.origin if source.validation else ""
    measured: dict[str, float | None] = {"accuracy": None, "mse": None}
    if labels is not None and measure is MSE:
        measured["mse"] = standalone.squared_error(next(iter(expected.values())), labels[:count])
    elif labels is not None:
        classes = standalone.classes_of({"threshold": source.threshold}, next(iter(expected.values())))
        measured["accuracy"] = float(np.mean(classes == labels[:count]))
    return facts, measured


def measure_of(source: Source, examples: Examples) -> Measure | None:
    """Returns the measure of the labels of examples that fits the network; None without one.

    Args:
      source: The exported network.
      examples: Examples with or without labels.
    """
    classifies = source.serving.compared or source.threshold is not None
    return examples.measure if classifies or examples.measure is MSE else None


def _validation(source: Source) -> dict[str, np.ndarray]:
    """The examples on which rounded forms are judged, with the Keras model's scores; none for other networks."""
    serving, examples = source.serving, source.validation
    if examples is None or not (serving.compared or source.threshold is not None):
        return {}
    specs = serving.inputs(source.model)
    with renamed({"examples": "validation"}):
        check_examples(examples, specs)
    inputs = examples.inputs(specs)
    ((name, scores),) = expected_outputs(source.model, serving, inputs).items()
    arrays = {f"validation_input/{key}": array[: len(scores)] for key, array in inputs.items()}
    arrays[f"validation_output/{name}"] = scores
    if examples.labels is not None:
        arrays["validation_labels"] = examples.labels[: len(scores)]
    return arrays


def _check_ticket(form: str, source: Source) -> None:
    """Checks the zeros of the network before compaction, for a form whose weights have other shapes."""
    masks = {name: np.asarray(mask, bool) for name, mask in (source.ticket or {}).items()}
    try:
        standalone.check_masks(form, weight_arrays(source.model), masks)
    except standalone.Failed as error:
        raise RuntimeError(str(error)) from None


def measure(
    written: Mapping[str, Written], inputs: Mapping[str, np.ndarray], batch: int | None = None, seconds: float = SECONDS
) -> dict[str, dict[str, list[float]]]:
    """Times all forms in turns in one fresh process with one thread.

    Args:
      written: Name -> form to time.
      inputs: Examples as a client sends them, by name, of which at most 64 are used.
      batch: The only batch size that the forms take; None: any.
      seconds: Time per batch size for all forms together.

    Returns:
      Name -> batch size -> milliseconds of each call.
    """
    forms = [{"name": name, "kind": form.kind, "path": os.fspath(form.path)} for name, form in written.items()]
    seconds = real_number("seconds", seconds, ABOVE_0)
    task = {"what": "time", "threads": 1, "seconds": seconds, "batch": batch, "forms": forms}
    return in_a_fresh_process(task, {f"input/{name}": array[:64] for name, array in inputs.items()})


def _description(name: str, form: Written, source: Source) -> dict[str, Any]:
    """Describes a form for `standalone.checked`, as a JSON value."""
    serving = source.serving
    weights = weight_arrays(form.model)
    places = None
    if form.places is not None:
        places = {
            key: [*place, list(weights[key].shape), weights[key].dtype.name] for key, place in form.places.items()
        }
    return {
        "name": name,
        "kind": form.kind,
        "path": os.fspath(form.path),
        "tolerance": form.tolerance,
        "optional": form.optional,
        "compared": list(serving.compared),
        "threshold": source.threshold,
        "batch": serving.batch,
        "image_bytes": serving.image_bytes,
        "value_range": serving.value_range,
        "label_names": None if serving.label_names is None else list(serving.label_names),
        "weights": list(weights),
        "places": places,
        "nonzero": {key: int(np.count_nonzero(value)) for key, value in weights.items()},
        "same_weights": form.same_weights,
    }


def in_a_fresh_process(task: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Runs `standalone.py` in a fresh process.

    Args:
      task: Task of the script, without its entries data and packages.
      arrays: Name -> array for the script.

    Returns:
      Name -> facts, for every form of the task.

    Raises:
      RuntimeError: If a check fails, with the script's own sentence, or if the script itself fails.
    """
    with tempfile.TemporaryDirectory(prefix="dlth-export-") as folder:
        data_path, task_path, result_path = (Path(folder) / name for name in ("data.npz", "task.json", "result.json"))
        data_path.write_bytes(files.npz_bytes(arrays))
        packages = str(Path(tf.__file__).parents[1])
        task_path.write_text(json.dumps({**task, "data": str(data_path), "packages": packages}))
        command = [sys.executable, "-I", standalone.__file__, str(task_path), str(result_path)]
        process = subprocess.run(  # noqa: S603 (this interpreter, on paths that were made here)
            command, capture_output=True, text=True, timeout=TIMEOUT, env=_environment(), check=False
        )
        if process.returncode or not result_path.exists():
            raise RuntimeError(
                f"the process that checks the export failed (exit code {process.returncode}): "
                f"{_last_line(process.stderr)}"
            )
        result = json.loads(result_path.read_text())
    if "error" in result:
        raise RuntimeError(result["error"])
    return result["forms"]


def _environment() -> dict[str, str]:
    """Returns this process's environment without GPUs, whose memory this process holds."""
    without = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    return {**without, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]
