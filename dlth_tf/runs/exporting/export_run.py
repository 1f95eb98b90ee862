"""Exports the network of a run directory."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from pathlib import Path
from typing import Any

import tf_keras

from dlth_tf import data as data_room
from dlth_tf import files
from dlth_tf.analysis.results import read_result
from dlth_tf.core import Ticket
from dlth_tf.data import DataSet, Normalization
from dlth_tf.data.names import MOST_LETTERS, MOST_NAMES, can_be_shown
from dlth_tf.deploy.atomic_folder import refuse_existing
from dlth_tf.deploy.export import export_source
from dlth_tf.deploy.serving import MOST_PIXEL
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.measures import REGRESSION
from dlth_tf.models import check_shapes
from dlth_tf.registry import NoModule
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting.examples import (
    calibration_images,
    examples_of,
    published_name,
    validation_examples,
    without_home,
)
from dlth_tf.runs.exporting.network_size import ROOM, limited_variables
from dlth_tf.runs.exporting.own_network import load_own_network
from dlth_tf.runs.exporting.trust import NO_TRUST, Trust
from dlth_tf.runs.network import build_network
from dlth_tf.runs.weights import restore_weights

MOST_AXES = 6  # of one example of a run
MOST_NUMBERS = 2**26  # of one example
MOST_RANGE = 2**31 - 1  # of a pixel


DEFAULTS = ExportOptions()
SERVED = ServingOptions()


def export_run(
    run_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    settings: ExportOptions = DEFAULTS,
    trust: Trust = NO_TRUST,
    served: ServingOptions = SERVED,
) -> dict[str, Any]:
    """Rebuilds the network of a run from config.json and weights.npz, and exports it.

    A network of the user's own is built by its function or, where its module is not on the search path and all of the
    run is trusted, from network.json.

    The forms are compared on the test images of the run if its data set is available, otherwise on random images; int8
    and limits to the agreement are judged on its validation images. The run may be somebody else's: dotted paths in its
    config.json are only imported if they are trusted.

    Args:
      run_dir: Directory of a complete run.
      export_dir: Directory for the export, created if it does not exist.
      settings: Forms to write, and how.
      trust: Dotted paths in config.json that may be imported; none by default.
      served: Task, batch size and labels that clients get.

    Returns:
      The content of export.json.

    Raises:
      BadInput: If `run_dir` is not a complete run, its files do not belong together, its network is not trusted, or
        `deploy.export` refuses the export.
      RuntimeError: If the verification of the export fails; nothing has been written then.
    """
    settings.check()
    served.check()
    if not settings.overwrite:
        refuse_existing(export_dir, settings.formats)
    directory = RunDirectory(Path(run_dir))
    directory.check_complete()
    config, normalization, shape, label_names, value_range = _described(directory)
    trust.check_model(config, directory.config)
    served = _served(config, served)
    ticket = Ticket.load(directory.ticket)
    with machine(for_export(config)):
        with limited_variables(*_most_variables(directory)):
            model = _network(directory, config, shape, len(label_names), trust.everything)
        restore_weights(model, directory)
        dataset = available(config, shape, trust, normalization.raw)
        source = Source(
            model,
            normalization,
            label_names if served.labels and served.task != "raw" else None,
            ticket,
            examples=examples_of(dataset, "test") if dataset else None,
            calibration=calibration_images(dataset) if dataset else None,
            validation=validation_examples(dataset, served.batch) if dataset else None,
            origin=origin_of(directory, config.sparsity),
            task=served.task,
            batch=served.batch,
            image_bytes=served.image_bytes,
            image_size=served.image_size,
            value_range=value_range,
        )
        return export_source(source, export_dir, settings)


def _described(directory: RunDirectory) -> tuple[RunConfig, Normalization, tuple[int, ...], tuple[str, ...], int]:
    """Returns what config.json says of a run.

    Returns:
      Its configuration, normalization, shape of an example, names of the classes, and largest pixel value.

    Raises:
      BadInput: If it is not the config.json of a run.
    """
    document = files.read_json_object(directory.config, "run_dir")
    try:
        data = document["data"]
        return (
            RunConfig(**document["config"]),
            Normalization.from_json(data["normalization"]),
            _image_shape(data["image_shape"]),
            _label_names(data["label_names"]),
            _value_range(data.get("value_range", MOST_PIXEL)),  # runs of earlier versions do not state it
        )
    except BadInput:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput("run_dir", directory.path, f"its config.json is not that of a run ({error})") from None


def _network(
    directory: RunDirectory, config: RunConfig, shape: tuple[int, ...], outputs: int, trusted: bool
) -> tf_keras.Model:
    """Builds the network of a run; one of the user's own whose module is not here from network.json, if trusted."""
    try:
        return build_network(config, shape, outputs)
    except NoModule as missing:
        model = load_own_network(directory, missing, trusted)
    check_shapes(config.model, model, shape, outputs)
    return model


def _served(config: RunConfig, served: ServingOptions) -> ServingOptions:
    """Returns the options with the task that fits the run: outputs of a regression are numbers, and no logits."""
    if config.task != REGRESSION:
        return served
    if served.task == "classifier":
        raise BadInput("task", served.task, "is for classes, and the run is a regression: raw serves its predictions")
    return dataclasses.replace(served, task="raw")


def _most_variables(directory: RunDirectory) -> tuple[int, BadInput]:
    """Returns the most bytes of the network that weights.npz can be of, and the error if there are more."""
    try:
        size = files.regular_size(directory.weights)
    except OSError as error:
        raise BadInput("run_dir", directory.path, f"its weights.npz cannot be read ({error.strerror})") from None
    most = 2 * size + ROOM
    reason = f"its config.json describes a network of more than {most:,} bytes, which its weights.npz cannot be of"
    return most, BadInput("run_dir", directory.path, reason)


def _image_shape(value: Any) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= MOST_AXES
        or not all(type(n) is int and n > 0 for n in value)
    ):
        raise TypeError(f"image_shape must be 1 to {MOST_AXES} whole numbers, at least 1")
    if math.prod(value) > MOST_NUMBERS:
        raise TypeError(f"image_shape must be that of at most {MOST_NUMBERS:,} numbers")
    return tuple(value)


def _label_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_NAMES or not all(isinstance(n, str) for n in value):
        raise TypeError(f"label_names must be at most {MOST_NAMES:,} texts")
    if not all(map(can_be_shown, value)):
        raise TypeError(f"label_names must have at most {MOST_LETTERS} letters and no control characters")
    return tuple(value)


def _value_range(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST_RANGE:
        raise TypeError(f"value_range must be a whole number from 1 to {MOST_RANGE:,}")
    return value


def for_export(config: RunConfig) -> RunConfig:
    """Returns the configuration under which any machine can rebuild the network of a run: one device, without XLA."""
    return dataclasses.replace(config, strategy="one_device", num_replicas=None, jit_compile=False)


def origin_of(directory: RunDirectory, sparsity: float) -> dict[str, Any]:
    """Returns the origin of the model for export.json, without the folders above the working directory."""
    result = read_result(directory.path, directory.result, "run_dir")
    facts = {name: result[name] for name in ("method", "dataset", "model", "seed", "weights_sha256")}
    facts["dataset"] = published_name(facts["dataset"])
    return {"run_dir": without_home(directory.path), **facts, "sparsity": sparsity}


def available(
    config: RunConfig, image_shape: tuple[int, ...], trust: Trust = NO_TRUST, raw: str = "uint8"
) -> DataSet | None:
    """Returns the data set of a run, or None if it cannot be used; logs the reason.

    Args:
      config: Configuration of the run.
      image_shape: Shape of the examples of the run.
      trust: Dotted paths that may be imported, and files that may be opened.
      raw: Dtype of the examples.
    """
    log = logging.getLogger("dlth_tf")
    if not trust.allows(config.dataset):
        reason = trust.sentence(config, RunDirectory(Path(config.run_dir)).config)
        log.warning("comparing on random images, since the run's %s", reason.removeprefix("its "))
        return None
    try:
        dataset = data_room.load_prepared(config.dataset, config.data_dir, config.targets)
    except BadInput as error:
        log.info("comparing on random images, since the data set of the run is not available: %s", error)
        return None
    if (dataset.image_shape, dataset.dtype) != (image_shape, raw):
        kinds = f"{dataset.dtype}{list(dataset.image_shape)}", f"{raw}{list(image_shape)}"
        log.info("comparing on random examples, since those of %s are now %s, not %s", config.dataset, *kinds)
        return None
    return dataset
