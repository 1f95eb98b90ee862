"""Exports what a run directory holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import data as data_room
from dlth_tf import files
from dlth_tf.analysis.results import read_results
from dlth_tf.core import Ticket
from dlth_tf.data import DataSet, Normalization, Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.tf_data_options import cores, options
from dlth_tf.deploy.examples import Examples, max_examples
from dlth_tf.deploy.export import export_source, refuse_existing
from dlth_tf.deploy.forms import check_forms
from dlth_tf.deploy.source import ExportOptions, Source
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.directory import RunDirectory, read_json
from dlth_tf.runs.network import build_network

CALIBRATION = 256  # training images for forms that choose number ranges by them


def export_run(
    run_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("plain",),
    values: str = "float32",
    overwrite: bool = False,
    measure_latency: bool = True,
) -> dict[str, Any]:
    """Rebuilds the network of a run from config.json and weights.npz and exports it.

    The forms are compared on the run's test images where its data set can be had, and on random images otherwise.

    Args:
      run_dir: of a complete run.
      export_dir: see `deploy.export`.
      formats: see `deploy.export`.
      values: see `deploy.export`.
      overwrite: see `deploy.export`.
      measure_latency: see `deploy.export`.

    Raises:
      BadInput: not a run directory, files that do not belong together, and what `deploy.export` refuses.
    """
    check_forms(formats)
    if not overwrite:
        refuse_existing(export_dir, formats)
    directory = RunDirectory(Path(run_dir))
    needed = (directory.config, directory.ticket, directory.weights, directory.result)
    lacking = [path.name for path in needed if not path.exists()]
    if lacking:
        raise BadInput("run_dir", run_dir, f"is not the directory of a complete run (it lacks {', '.join(lacking)})")
    document = read_json(directory.config, "run_dir")
    try:
        config, data = RunConfig(**document["config"]), document["data"]
        normalization = Normalization.from_json(data["normalization"])
        shape, label_names = tuple(data["image_shape"]), tuple(data["label_names"])
    except (KeyError, TypeError) as error:
        raise BadInput("run_dir", run_dir, f"its config.json is not that of a run ({error})") from None
    ticket = Ticket.load(directory.ticket)
    with machine(config):
        model = build_network(config, shape, len(label_names))
        load_weights(model, directory)
        result = read_json(directory.result, "run_dir")
        origin = {
            "run_dir": str(run_dir),
            **{name: result[name] for name in ("method", "dataset", "model", "seed", "weights_sha256")},
        }
        origin["sparsity"] = config.sparsity
        dataset = available(config, shape)
        source = Source(
            model,
            normalization,
            label_names,
            ticket,
            examples=test_examples(dataset) if dataset else None,
            calibration=raw_images(dataset.train, CALIBRATION) if dataset else None,
            origin=origin,
        )
        return export_source(source, export_dir, ExportOptions(formats, values, overwrite, measure_latency))


def available(config: RunConfig, image_shape: tuple[int, ...]) -> DataSet | None:
    """The run's data set, or None where it cannot be had or is another by now; the log says why."""
    try:
        dataset = data_room.load(config.dataset, config.data_dir)
    except BadInput as error:
        logging.getLogger("dlth_tf").info(
            "compared on random images, since the data set of the run cannot be had: %s", error
        )
        return None
    if dataset.image_shape != image_shape:
        logging.getLogger("dlth_tf").info(
            "compared on random images, since the images of %s have another shape by now", config.dataset
        )
        return None
    return dataset


def test_examples(dataset: DataSet) -> Examples:
    """The test images, the first 10,000 at most, as a client sends them."""
    number = min(len(dataset.test), max_examples(dataset.image_shape))
    named = f"test images of {dataset.name}" + ("" if number == len(dataset.test) else f" (of {len(dataset.test):,})")
    return Examples(raw_images(dataset.test, number), dataset.test.labels[:number], named)


def raw_images(split: Split | DiskSplit, number: int) -> np.ndarray:
    """uint8 [at most `number`, H, W, C], the first of a split as they come from its files."""
    number = min(number, len(split))
    if isinstance(split, Split):
        return split.images[:number]
    read = tf.data.Dataset.range(number).map(split.image, num_parallel_calls=cores()).with_options(options())
    return np.stack(list(read.as_numpy_iterator()))


def load_weights(model: tf_keras.Model, directory: RunDirectory) -> None:
    """Reads weights.npz into a model of the same architecture.

    Raises:
      BadInput: a damaged file, other names or shapes, or not the weights that result.json vouches for.
    """
    variables = named_weights(model)
    expected = {
        name: (tuple(variable.shape), np.dtype(variable.dtype.base_dtype.name)) for name, variable in variables.items()
    }
    try:
        weights = files.parse_npz(directory.weights.read_bytes(), expected)
    except (OSError, ValueError) as error:
        raise BadInput("run_dir", directory.path, f"its weights.npz cannot be used: {error}") from None
    if read_json(directory.result, "run_dir").get("weights_sha256") != files.arrays_sha256(weights):
        raise BadInput(
            "run_dir", directory.path, "its weights.npz is not the one that its result.json was written with"
        )
    for name, variable in variables.items():
        variable.assign(weights[name])


def best_run(sweep_dir: str | os.PathLike[str], method: str) -> Path:
    """The run of a method with the best validation accuracy; among equals the sparsest, then the first seed.

    Raises:
      BadInput: the sweep has no complete run of that method.
    """
    results = read_results(sweep_dir)
    mine = results[results["method"] == method].sort_values(
        ["val_accuracy_last", "sparsity", "seed"], ascending=[False, False, True]
    )
    if mine.empty:
        raise BadInput(
            "method", method, f"has no complete run in {sweep_dir}; there are {', '.join(results['method'].unique())}"
        )
    return Path(sweep_dir) / mine.iloc[0]["run_dir"]
