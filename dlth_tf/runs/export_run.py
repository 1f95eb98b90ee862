"""Exports the network of a run directory."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf import data as data_room
from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.data import DataSet, Normalization, Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.tf_data_options import cores, options
from dlth_tf.deploy.atomic_folder import refuse_existing
from dlth_tf.deploy.examples import Examples, max_examples
from dlth_tf.deploy.export import export_source
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, check_serving
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.network import build_network
from dlth_tf.runs.weights import restore_weights

CALIBRATION = 256  # training images for forms that choose number ranges from them


DEFAULTS = ExportOptions()


def export_run(
    run_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    settings: ExportOptions = DEFAULTS,
    *,
    task: str = "auto",
    batch: int | None = None,
) -> dict[str, Any]:
    """Rebuilds the network of a run from config.json and weights.npz, and exports it.

    The forms are compared on the test images of the run if its data set is available, otherwise on random images.

    Args:
      run_dir: Directory of a complete run.
      export_dir: Directory for the export, created if it does not exist.
      settings: Forms to write, and how.
      task: "classifier", "raw" or "auto", as in `deploy.export`.
      batch: Number of images in every call; None leaves it free.

    Returns:
      The content of export.json.

    Raises:
      BadInput: If `run_dir` is not a complete run, its files do not belong together, or `deploy.export` refuses the
        export.
      RuntimeError: If the verification of the export fails; nothing has been written then.
    """
    settings.check()
    check_serving(task, batch)
    if not settings.overwrite:
        refuse_existing(export_dir, settings.formats)
    directory = RunDirectory(Path(run_dir))
    directory.check_complete()
    document = files.read_json_object(directory.config, "run_dir")
    try:
        config = RunConfig(**document["config"])
        data = document["data"]
        normalization = Normalization.from_json(data["normalization"])
        shape = tuple(data["image_shape"])
        label_names = tuple(data["label_names"])
    except (KeyError, TypeError) as error:
        raise BadInput("run_dir", run_dir, f"its config.json is not that of a run ({error})") from None
    ticket = Ticket.load(directory.ticket)
    with machine(for_export(config)):
        model = build_network(config, shape, len(label_names))
        restore_weights(model, directory)
        dataset = available(config, shape)
        source = Source(
            model,
            normalization,
            None if task == "raw" else label_names,
            ticket,
            examples=test_examples(dataset) if dataset else None,
            calibration=raw_images(dataset.train, CALIBRATION) if dataset else None,
            origin=_origin(directory, config.sparsity),
            task=task,
            batch=batch,
        )
        return export_source(source, export_dir, settings)


def for_export(config: RunConfig) -> RunConfig:
    """Returns the configuration under which any machine can rebuild the network of a run: one device, without XLA."""
    return dataclasses.replace(config, strategy="one_device", num_replicas=None, jit_compile=False)


def _origin(directory: RunDirectory, sparsity: float) -> dict[str, Any]:
    """The origin of the model in export.json."""
    result = files.read_json_object(directory.result, "run_dir")
    facts = {name: result[name] for name in ("method", "dataset", "model", "seed", "weights_sha256")}
    return {"run_dir": str(directory.path), **facts, "sparsity": sparsity}


def available(config: RunConfig, image_shape: tuple[int, ...]) -> DataSet | None:
    """Returns the data set of a run, or None if it is not available or its images have changed; logs the reason."""
    log = logging.getLogger("dlth_tf")
    try:
        dataset = data_room.load(config.dataset, config.data_dir)
    except BadInput as error:
        log.info("comparing on random images, since the data set of the run is not available: %s", error)
        return None
    if dataset.image_shape != image_shape:
        log.info("comparing on random images, since the images of %s now have another shape", config.dataset)
        return None
    return dataset


def test_examples(dataset: DataSet) -> Examples:
    """Returns the test images as a client sends them, at most the first 10,000."""
    number = min(len(dataset.test), max_examples(dataset.image_shape))
    part = "" if number == len(dataset.test) else f" (of {len(dataset.test):,})"
    images = raw_images(dataset.test, number)
    return Examples(images, dataset.test.labels[:number], f"test images of {dataset.name}{part}")


def raw_images(split: Split | DiskSplit, number: int) -> np.ndarray:
    """Returns the first images of a split without normalization, uint8 [at most `number`, H, W, C]."""
    number = min(number, len(split))
    if isinstance(split, Split):
        return split.images[:number]
    read = tf.data.Dataset.range(number).map(split.image, num_parallel_calls=cores()).with_options(options())
    return np.stack(list(read.as_numpy_iterator()))
