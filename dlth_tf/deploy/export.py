"""export: writes aside, verifies in a fresh process, and only then puts the result under its name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.data import Normalization
from dlth_tf.deploy.atomic_folder import aside_of, put
from dlth_tf.deploy.checks.dense_reference import dense_twin
from dlth_tf.deploy.checks.verification import Examples, check_examples, measure, probes, verify
from dlth_tf.deploy.forms import FORMS, Request, Written, check_forms
from dlth_tf.deploy.report.facts import form_facts, latency, network_facts, speed_note
from dlth_tf.deploy.savedmodel.packed import VALUES
from dlth_tf.deploy.serving import Serving
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude
from dlth_tf.masking.keras2.weights import leaf_layers

FORMATS = tuple(FORMS)


def export(
    model: tf_keras.Model,
    export_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("plain",),
    values: str = "float32",
    normalization: Normalization | None = None,
    label_names: Sequence[str] | None = None,
    ticket: Ticket | None = None,
    examples: Examples | None = None,
    calibration: np.ndarray | None = None,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    measure_latency: bool = True,
) -> dict[str, Any]:
    """Writes a stripped model as `<export_dir>/<form>/`, and `<export_dir>/export.json`.

    Every SavedModel's `serving_default` takes `images` and gives `logits`, `probabilities`, `class` and, if names are given,
    `label`. Before anything appears under `export_dir`, a fresh process with TensorFlow alone loads every form, compares its
    outputs with the Keras model's, and its zeros with the ticket's. docs/deploy.md describes the forms.

    Args:
      model: an ordinary Keras model that gives logits; what `dlth_tf.strip` returns. While the exporter's own dense model is
        written for comparison its weights are changed; they are put back.
      export_dir: made if it does not exist.
      formats: of plain, packed, compact, tflite.
      values: how `packed` stores weights: "float32" or "float16".
      normalization: put in front of the network, so that a client sends raw uint8 images; None: the model's own inputs.
      label_names: one per class, in the order of the logits.
      ticket: what must be zero; None: nothing is checked against a ticket.
      examples: what outputs are compared on; None: 256 random images.
      calibration: raw training images for a form that chooses number ranges by them.
      origin: where the model came from, as plain values: noted in export.json.
      overwrite: whether an earlier export of the same form is replaced; it stays until the new one is verified.
      measure_latency: whether each form and its dense counterpart are timed, which takes some seconds.

    Returns:
      What export.json holds.

    Raises:
      BadInput: a wrapped model; an unknown form or kind of values; label names that are not one per class; examples that are not
        what the signature takes; a form that exists already; a directory that cannot be written.
      RuntimeError: the verification failed; nothing was written.
    """
    serving = Serving(normalization, None if label_names is None else tuple(label_names))
    _check(model, serving, formats, values)
    if not overwrite:
        refuse_existing(export_dir, formats)
    spec = serving.images(model)
    examples = examples or probes(spec)
    check_examples(examples, spec)
    request = Request(model, serving, values, calibration)
    with aside_of(Path(export_dir)) as aside:
        (aside / "made").mkdir()
        written = write(request, aside / "made", formats)
        with dense_twin(model):
            dense = write(request, aside / "dense", formats)
        found, accuracy = verify(written, model, serving, ticket, examples)
        network = network_facts(model, ticket, tuple(spec.shape[1:]))
        forms = {
            name: form_facts(form, dense[name], found[name], network, tuple(spec.shape[1:]))
            for name, form in written.items()
        }
        if measure_latency:
            _add_latency(forms, written, dense, examples.images)
        _add_notes(forms, network["parameters"]["total"])
        compared = {
            "on": examples.origin,
            "images": len(examples.images),
            "accuracy": accuracy,
            "tensorflow": tf.__version__,
        }
        report = {"origin": dict(origin or {}), **network, "verification": compared, "forms": forms}
        report["forms"] |= _others(Path(export_dir), network["weights_sha256"], formats)
        files.write_json(aside / "made" / "export.json", report)
        put(aside / "made", Path(export_dir), [*formats, "export.json"])
    return report


def write(request: Request, folder: Path, formats: Sequence[str]) -> dict[str, Written]:
    """Writes all forms into a folder: name -> what was written."""
    folder.mkdir(exist_ok=True)
    return {name: written for form in formats for name, written in FORMS[form](request, folder / form).items()}


def refuse_existing(export_dir: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> None:
    """Raises BadInput if there is an export of one of these forms already."""
    for form in formats:
        if (Path(export_dir) / form).exists():
            raise BadInput("export_dir", export_dir, f"holds an export ({form}) already; overwrite replaces it")


def _check(model: tf_keras.Model, serving: Serving, formats: Sequence[str], values: str) -> None:
    for layer in leaf_layers(model):
        if isinstance(layer, PruneLowMagnitude):
            raise BadInput(
                "model",
                model.name,
                f"is wrapped (layer {layer.name}): only stripped models are exported, call model = dlth_tf.strip(model) first",
            )
    check_forms(formats)
    if values not in VALUES:
        raise BadInput("values", values, f"must be {' or '.join(VALUES)}")
    classes = model.compute_output_shape(serving.images(model).shape)[-1]
    if serving.label_names is not None and len(serving.label_names) != classes:
        raise BadInput(
            "label_names", f"{len(serving.label_names)} names", f"must be one for each of the model's {classes} classes"
        )


def _add_latency(
    forms: dict[str, dict[str, Any]], written: Mapping[str, Written], dense: Mapping[str, Written], images: np.ndarray
) -> None:
    pairs = {key: form for name in written for key, form in ((name, written[name]), (f"dense {name}", dense[name]))}
    times = measure(pairs, images)
    for name, facts in forms.items():
        facts["latency"] = {batch: latency(mine, times[f"dense {name}"][batch]) for batch, mine in times[name].items()}


def _add_notes(forms: dict[str, dict[str, Any]], total: int) -> None:
    for name, facts in forms.items():
        facts["notes"] = [note] if (note := facts.pop("note", "")) else []
        if "latency" in facts:
            skips_zeros = facts["parameters"] < total or bool(facts.get("sparse"))
            facts["notes"].append(speed_note(name, facts["latency"], skips_zeros))


def _others(export_dir: Path, weights_sha256: str, formats: Sequence[str]) -> dict[str, Any]:
    """What an earlier export.json said of forms that stay and that hold the same weights."""
    try:
        earlier = json.loads((export_dir / "export.json").read_text())
        if earlier["weights_sha256"] != weights_sha256:
            return {}
        return {name: facts for name, facts in earlier["forms"].items() if name.split("/")[0] not in formats}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
