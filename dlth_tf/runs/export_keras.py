"""Exports a network of the user's own, from a file that tf_keras saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tf_keras

from dlth_tf.core import Ticket
from dlth_tf.core.removed_weights import not_zero
from dlth_tf.deploy.atomic_folder import refuse_existing
from dlth_tf.deploy.export import export_source
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput, renamed
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.masking import weight_arrays
from dlth_tf.runs.keras_files import load_keras_model


def export_keras(
    path: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    settings: ExportOptions,
    served: ServingOptions,
    *,
    ticket: str | None = None,
    trusted: bool = False,
) -> dict[str, Any]:
    """Loads a saved model and exports it. The forms are compared with it on random inputs.

    Args:
      path: A .keras or .h5 file, or the folder of a SavedModel, that tf_keras wrote.
      export_dir: Directory for the export, created if it does not exist.
      settings: Forms to write, and how.
      served: Task and batch size.
      ticket: File of a ticket whose removed weights must be zero in every form; None checks no ticket.
      trusted: Whether layers may be Python code (`load_keras_model`).

    Returns:
      The content of export.json.

    Raises:
      BadInput: If the model cannot be loaded, the ticket is not one of this network, or `deploy.export` refuses the
        export.
      RuntimeError: If the verification of the export fails; nothing has been written then.
    """
    settings.check()
    served.check()
    if not settings.overwrite:
        refuse_existing(export_dir, settings.formats)
    masks = None if ticket is None else Ticket.load(ticket)
    model = load_keras_model(path, trusted)
    if masks is not None:
        _check_ticket(masks, model, str(ticket))
    origin = {"keras_model": Path(path).resolve().name}
    with renamed({"model": "keras_model"}):
        source = Source(
            model,
            ticket=masks,
            origin=origin,
            task=served.task,
            batch=served.batch,
            image_bytes=served.image_bytes,
        )
        return export_source(source, export_dir, settings)


def _check_ticket(ticket: Ticket, model: tf_keras.Model, path: str) -> None:
    weights = weight_arrays(model)
    for name, mask in ticket.items():
        if name not in weights or weights[name].shape != mask.shape:
            found = (
                "the network has no such weight"
                if name not in weights
                else f"that of the network {list(weights[name].shape)}"
            )
            raise BadInput("ticket", path, f"is not one of this network: its {name} is {list(mask.shape)}, and {found}")
        if observed := not_zero(weights[name], mask):
            raise BadInput("ticket", path, f"removes weights of {name} that are not zero in the network ({observed})")
