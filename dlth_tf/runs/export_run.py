"""Exports what a run directory holds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf import files, models
from dlth_tf.analysis.results import read_results
from dlth_tf.core import Ticket
from dlth_tf.data import Normalization
from dlth_tf.deploy.export import export
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory, read_json
from dlth_tf.runs.machine import machine


def export_run(
    run_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("plain",),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Rebuilds the network of a run from config.json and weights.npz and exports it; the data set is not needed.

    Args:
      run_dir: of a complete run.
      export_dir: see `deploy.export`.
      formats: see `deploy.export`.
      overwrite: see `deploy.export`.

    Raises:
      BadInput: not a run directory, files that do not belong together, and what `deploy.export` refuses.
    """
    directory = RunDirectory(Path(run_dir))
    needed = (directory.config, directory.ticket, directory.weights, directory.result)
    lacking = [path.name for path in needed if not path.exists()]
    if lacking:
        raise BadInput("run_dir", run_dir, f"is not the directory of a complete run (it lacks {', '.join(lacking)})")
    document = read_json(directory.config, "run_dir")
    try:
        config, data = RunConfig(**document["config"]), document["data"]
        normalization = Normalization.from_json(data["normalization"])
        shape, classes = tuple(data["image_shape"]), len(data["label_names"])
    except (KeyError, TypeError) as error:
        raise BadInput("run_dir", run_dir, f"its config.json is not that of a run ({error})") from None
    ticket = Ticket.load(directory.ticket)
    with machine(config):
        model = models.build(config.model, shape, classes, config.seed, json.loads(config.model_args))
        load_weights(model, directory)
        result = read_json(directory.result, "run_dir")
        origin = {"run_dir": str(run_dir), **{name: result[name] for name in ("method", "dataset", "model", "seed", "weights_sha256")}}
        origin["sparsity"] = config.sparsity
        return export(model, export_dir, formats=formats, normalization=normalization, ticket=ticket, origin=origin, overwrite=overwrite)


def load_weights(model: tf.keras.Model, directory: RunDirectory) -> None:
    """Reads weights.npz into a model of the same architecture.

    Raises:
      BadInput: a damaged file, other names or shapes, or not the weights that result.json vouches for.
    """
    variables = named_weights(model)
    expected = {name: (tuple(variable.shape), np.dtype(variable.dtype.base_dtype.name)) for name, variable in variables.items()}
    try:
        weights = files.parse_npz(directory.weights.read_bytes(), expected)
    except (OSError, ValueError) as error:
        raise BadInput("run_dir", directory.path, f"its weights.npz cannot be used: {error}") from None
    if read_json(directory.result, "run_dir").get("weights_sha256") != files.arrays_sha256(weights):
        raise BadInput("run_dir", directory.path, "its weights.npz is not the one that its result.json was written with")
    for name, variable in variables.items():
        variable.assign(weights[name])


def best_run(sweep_dir: str | os.PathLike[str], method: str) -> Path:
    """The run of a method with the best validation accuracy; among equals the sparsest, then the first seed.

    Raises:
      BadInput: the sweep has no complete run of that method.
    """
    results = read_results(sweep_dir)
    mine = results[results["method"] == method].sort_values(["val_accuracy_last", "sparsity", "seed"], ascending=[False, False, True])
    if mine.empty:
        raise BadInput("method", method, f"has no complete run in {sweep_dir}; there are {', '.join(results['method'].unique())}")
    return Path(sweep_dir) / mine.iloc[0]["run_dir"]
