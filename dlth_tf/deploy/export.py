"""export: writes aside, verifies, and only then puts the result under its name."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import PruneLowMagnitude

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.data import Normalization
from dlth_tf.deploy.plain import save_plain, verify_plain
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights
from dlth_tf.masking.weights import leaf_layers

FORMATS = ("plain",)


def export(
    model: tf.keras.Model,
    export_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("plain",),
    normalization: Normalization | None = None,
    ticket: Ticket | None = None,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a stripped model as `<export_dir>/<form>/`, and `<export_dir>/export.json`.

    The SavedModel's `serving_default` takes `images` and gives `logits`, `probabilities` and `class`. Before anything
    appears under `export_dir`, it is loaded again, its outputs are compared with the Keras model's, and its zeros with
    the ticket.

    Args:
      model: an ordinary Keras model that gives logits; what `dlth_tf.strip` returns.
      export_dir: made if it does not exist.
      formats: of ("plain",): an ordinary SavedModel with zeros inside.
      normalization: put in front of the network, so that a client sends raw uint8 images; None: the model's own inputs.
      ticket: what must be zero; None: nothing is checked against a ticket.
      origin: where the model came from, as plain values: noted in export.json.
      overwrite: whether an earlier export of the same form is replaced.

    Returns:
      What export.json holds: the origin; parameters and non-zeros; per form bytes and largest difference.

    Raises:
      BadInput: a wrapped model; an unknown form; a form that exists already; a directory that cannot be written.
      RuntimeError: the verification failed; nothing was written.
    """
    _refuse_wrapped(model)
    for form in formats or ("",):
        if form not in FORMATS:
            raise BadInput("formats", form or "(none)", f"must be of {', '.join(FORMATS)}")
    if not overwrite:
        refuse_existing(export_dir, formats)
    made = not Path(export_dir).exists()
    try:
        Path(export_dir).mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=export_dir, prefix=".partial-"))
    except OSError as error:
        raise BadInput("export_dir", export_dir, f"cannot be written to ({error.strerror})") from None
    try:
        report = {
            "origin": dict(origin or {}),
            "parameters": _parameters(model),
            "forms": {form: _one(model, aside / form, normalization, ticket) for form in formats},
        }
        for form in formats:
            shutil.rmtree(Path(export_dir) / form, ignore_errors=True)
            os.replace(aside / form, Path(export_dir) / form)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):  # it is empty only if nothing came of the export
                Path(export_dir).rmdir()
    files.write_json(Path(export_dir) / "export.json", report)
    return report


def refuse_existing(export_dir: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> None:
    """Raises BadInput if there is an export of one of these forms already."""
    for form in formats:
        if (Path(export_dir) / form).exists():
            raise BadInput("export_dir", export_dir, f"holds an export ({form}) already; overwrite replaces it")


def _refuse_wrapped(model: tf.keras.Model) -> None:
    for layer in leaf_layers(model):
        if isinstance(layer, PruneLowMagnitude):
            raise BadInput(
                "model",
                model.name,
                f"is wrapped (layer {layer.name}): only stripped models are exported, call model = dlth_tf.strip(model) first",
            )


def _one(model: tf.keras.Model, path: Path, normalization: Normalization | None, ticket: Ticket | None) -> dict[str, Any]:
    save_plain(model, path, normalization)
    difference = verify_plain(model, path, normalization, ticket)
    return {"bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()), "max_difference": difference}


def _parameters(model: tf.keras.Model) -> dict[str, int]:
    weights = [variable.numpy() for variable in named_weights(model).values()]
    return {"total": sum(weight.size for weight in weights), "nonzero": sum(int(np.count_nonzero(weight)) for weight in weights)}
