"""Exports a network of the user's own, from a file that tf_keras or Keras 3 saved."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.core.removed_weights import not_zero
from dlth_tf.data import DataSet
from dlth_tf.data.load import load_for
from dlth_tf.data.targets import Targets
from dlth_tf.deploy.atomic_folder import refuse_existing
from dlth_tf.deploy.examples import Examples, not_finite
from dlth_tf.deploy.export import export
from dlth_tf.deploy.interface import Interface, interface_of
from dlth_tf.deploy.serving import MOST_PIXEL, RAW
from dlth_tf.deploy.source import SIGMOID, Source
from dlth_tf.errors import BadInput, renamed
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.masking import weight_arrays
from dlth_tf.masking.world import package_of
from dlth_tf.measures import CLASSIFICATION, REGRESSION
from dlth_tf.runs.exporting.examples import calibration_images, examples_of, validation_examples
from dlth_tf.runs.exporting.keras_files import load_keras_model

MOST_BYTES = 16 * 2**30  # of a file of examples


@dataclass(frozen=True)
class SavedModel:
    """A saved model of the user's own, with what belongs to it.

    Args:
      path: A .keras or .h5 file, or the folder of a SavedModel, that tf_keras wrote; or a .keras file of Keras 3.
      ticket: File of a ticket whose removed weights must be zero in every form; None checks no ticket.
      dataset: Name of the data set whose examples, as they are stored, the network takes.
      examples: An .npz file of inputs on which forms are compared, one array for each input of the network under its
        name. Without a data set and without examples, inputs are random.
      trusted: Whether layers may be Python code (`load_keras_model`).
    """

    path: str | os.PathLike[str]
    ticket: str | None = None
    dataset: str | None = None
    examples: str | None = None
    trusted: bool = False


def export_keras(
    saved: SavedModel, export_dir: str | os.PathLike[str], settings: ExportOptions, served: ServingOptions
) -> dict[str, Any]:
    """Loads a saved model and exports it.

    The forms are compared with it on the test examples of the data set, and int8 is judged on its validation examples
    and calibrated with its training examples. Without one, they are compared on the given examples or on random inputs.

    Args:
      saved: The model, and what belongs to it.
      export_dir: Directory for the export, created if it does not exist.
      settings: Forms to write, and how.
      served: Task, batch size and image size.

    Returns:
      The content of export.json.

    Raises:
      BadInput: If the model cannot be loaded, the ticket is not one of this network, the data set or the examples do
        not fit it, or `deploy.export` refuses the export.
      RuntimeError: If the verification of the export fails; nothing has been written then.
    """
    settings.check()
    served.check(settings.formats)
    if not settings.overwrite:
        refuse_existing(export_dir, settings.formats)
    masks = None if saved.ticket is None else Ticket.load(saved.ticket)
    model = load_keras_model(saved.path, saved.trusted)
    if masks is not None:
        _check_ticket(masks, model, str(saved.ticket))
    known: dict[str, Any] = {
        **vars(settings),
        "ticket": masks,
        "origin": {"keras_model": Path(saved.path).resolve().name},
        "task": served.task,
        "batch": served.batch,
        "image_bytes": served.image_bytes,
        "image_size": served.image_size,
    }
    with _about(saved.path):
        if package_of(model) == "keras":
            from dlth_tf.deploy.keras3.exporting import export_keras3
            from dlth_tf.deploy.keras3.network import in_tf_keras

            write: Any = export_keras3
            interface = interface_of(in_tf_keras(model))
        else:
            write, interface = export, interface_of(model)
        if saved.examples is not None:
            examples = from_file(saved.examples, interface)
            return write(model, export_dir, **known, examples=examples, calibration=examples.images)
        if saved.dataset is None:
            return write(model, export_dir, **known)
        with renamed(dict.fromkeys(("examples", "validation", "calibration"), "dataset")):
            return write(model, export_dir, **known, **from_dataset(saved.dataset, interface, served))


@contextlib.contextmanager
def _about(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises a BadInput about the network about the file that it is in, the value that the user gave."""
    try:
        yield
    except BadInput as refused:
        if refused.thing != "model":
            raise
        raise BadInput("keras_model", path, refused.allowed) from None


def from_dataset(name: str, interface: Interface, served: ServingOptions) -> dict[str, Any]:
    """Returns the keywords of `export` that a data set gives: its examples, and the names of its classes.

    Args:
      name: Name of the data set.
      interface: Inputs and outputs of the network.
      served: Task, batch size and whether names are served.

    Raises:
      BadInput: If there is no such data set, it has more classes than the network, or the network has several inputs.
    """
    if len(interface.inputs) > 1:
        inputs = ", ".join(interface.inputs)
        allowed = f"has one array of examples, and the network takes {inputs}; give one array for each with examples"
        raise BadInput("dataset", name, allowed)
    (spec,) = interface.inputs.values()
    classes = interface.classes
    dataset = _loaded(name, interface, served.task)
    if dataset.task == CLASSIFICATION and classes is not None and dataset.num_classes > classes:
        allowed = f"has {dataset.num_classes} classes, and the network has {classes} outputs"
        raise BadInput("dataset", name, allowed)
    named = served.labels and dataset.num_classes == classes and dataset.task == CLASSIFICATION
    validation = validation_examples(dataset, served.batch)
    shapes = [output.shape for output in interface.outputs.values()]
    measured = dataset.task == CLASSIFICATION or shapes == [tf.TensorShape([shapes[0][0], dataset.num_classes])]
    examples = _taken(examples_of(dataset, "test"), spec)
    calibration = _as(calibration_images(dataset), spec)
    source = Source(interface.model, examples=examples, task=served.task, batch=served.batch)
    names = named and source.decision[0] != RAW
    return {
        "examples": examples if measured else dataclasses.replace(examples, labels=None),
        "validation": validation and _taken(validation, spec),
        "calibration": calibration,
        "label_names": dataset.label_names if names else None,
        "value_range": dataset.value_range if dataset.dtype == "uint8" else _range_of(calibration),
    }


def from_file(path: str, interface: Interface) -> Examples:
    """Reads the examples of a network from an .npz file.

    Args:
      path: Path of the file. Its members have the names of the network's inputs; for a network with one input, a single
        member may have any name.
      interface: Inputs and outputs of the network.

    Raises:
      BadInput: If the file cannot be read, does not have one array for each input, or contains NaN or infinity.
    """
    try:
        arrays = files.parse_npz(files.read_file(Path(path).expanduser(), MOST_BYTES), texts=True)
    except OSError as error:
        raise BadInput("examples", path, f"cannot be read ({error.strerror})") from None
    except (ValueError, RuntimeError) as error:
        written = "write arrays of numbers or texts in C order with np.savez, not np.savez_compressed"
        raise BadInput("examples", path, f"{error}: {written}") from None
    if len(arrays) == len(interface.inputs) == 1:
        arrays = dict(zip(interface.inputs, arrays.values(), strict=True))
    if arrays.keys() != interface.inputs.keys():
        allowed = f"must contain one array for each input: {', '.join(interface.inputs)}; it contains "
        raise BadInput("examples", path, allowed + (", ".join(sorted(arrays)) or "nothing"))
    taken = {name: _as(array, interface.inputs[name]) for name, array in arrays.items()}
    for name, array in taken.items():
        if found := not_finite(array):
            raise BadInput("examples", path, f"must contain finite numbers; {name}: {found}")
    return Examples(taken, None, f"examples of {Path(path).name}")


def _loaded(name: str, interface: Interface, task: str) -> DataSet:
    """Loads a data set of classes or of numbers, of which a network that does not classify may take either."""
    if interface.classes is not None and task != RAW:
        return load_for(name, None, Targets(CLASSIFICATION, None))
    likely = [CLASSIFICATION, REGRESSION] if interface.ending == SIGMOID else [REGRESSION, CLASSIFICATION]
    with contextlib.suppress(BadInput):
        return load_for(name, None, Targets(likely[0], None))
    return load_for(name, None, Targets(likely[1], None))


def _taken(examples: Examples, spec: tf.TensorSpec) -> Examples:
    return Examples(_as(np.asarray(examples.images), spec), examples.labels, examples.origin)


def _range_of(images: np.ndarray) -> int:
    """Returns the largest pixel value that numbers which are not of files stand for: 1, or that of files."""
    return 1 if images.dtype.kind == "f" and images.min() >= 0 and images.max() <= 1 else MOST_PIXEL


def _as(images: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    """Returns examples in the dtype of the network's input, as Keras converts them, if no fractions are lost."""
    dtype = spec.dtype.as_numpy_dtype
    if spec.dtype == tf.string or not np.can_cast(images.dtype, dtype, "same_kind"):
        return images
    with np.errstate(over="ignore"):  # infinite numbers are refused where the examples are checked
        return images.astype(dtype)


def _check_ticket(ticket: Ticket, model: Any, path: str) -> None:
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
