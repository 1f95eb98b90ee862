"""The runner: knows phases, and nothing about methods."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf import data as data_room
from dlth_tf import deploy, files, masking, models
from dlth_tf.data import DataSet, Normalization, evaluation_batches
from dlth_tf.methods import METHODS, Network, Phase, Recipe
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.cost import kernel_positions, training_macs
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.evaluate import Evaluator
from dlth_tf.runs.export_run import export_run
from dlth_tf.runs.history import write_history
from dlth_tf.runs.initial_weights import load_weights
from dlth_tf.runs.machine import machine
from dlth_tf.runs.narrow import narrowed_arguments
from dlth_tf.runs.plan import make_phases, make_recipe
from dlth_tf.runs.result import make_result, phase_row
from dlth_tf.runs.samples import Samples
from dlth_tf.runs.training import train_phase


def run(config: RunConfig) -> dict[str, Any]:
    """Runs a method from its first phase to result.json.

    A run directory that is complete with the same configuration is not touched: its result is returned. What is missing
    of its export (`export_dir`) is made up for.

    Returns:
      What result.json holds.

    Raises:
      BadInput: data, model or directory cannot be used; nothing was written then.
    """
    directory = RunDirectory(Path(config.run_dir))
    directory.refuse_other_runs(config)
    result = directory.complete_result()
    if result is None:
        with machine(config) as strategy, strategy.scope():
            result = _run(config, directory)
    if config.export_dir and not Path(config.export_dir, "export.json").exists():
        export_run(directory.path, config.export_dir)
    return result


def prepare(config: RunConfig) -> tuple[DataSet, Normalization, Recipe, Any]:
    """Loads the data and builds the wrapped model: all that can still be refused, before anything is written."""
    data = data_room.load(config.dataset, config.data_dir)
    normalization = data_room.normalization(data, config.normalization)
    recipe = make_recipe(config, len(data.train.labels))
    model = build_model(config, data)
    masking.named_weights(model)
    masking.prunable_of_ticket(model, config.dense_layers, config.granularity)
    if (
        config.sparsity and not METHODS.load(config.method).narrows
    ):  # refuses an allocation or a granularity that does not fit these tensors
        masking.random_ticket(model, config.sparsity, config.seed, **recipe.ticket_options)
    if config.export_dir:
        deploy.refuse_existing(config.export_dir)
    return data, normalization, recipe, model


def build_model(config: RunConfig, data: DataSet) -> Any:
    """The wrapped network as the method starts with it."""

    def build(arguments: Mapping[str, Any]) -> Any:
        return models.build(config.model, data.image_shape, data.num_classes, config.seed, arguments)

    arguments = json.loads(config.model_args)
    if METHODS.load(config.method).narrows:
        arguments = narrowed_arguments(config, arguments, build)
    model = build(arguments)
    if config.init_weights:
        load_weights(model, config.init_weights)
    return masking.wrap(model)


def _run(config: RunConfig, directory: RunDirectory) -> dict[str, Any]:
    began = time.perf_counter()
    data, normalization, recipe, model = prepare(config)
    batches = {"val": data.validation, "test": data.test}
    evaluator = Evaluator(
        model, {n: evaluation_batches(s, normalization=normalization, dtype=config.weight_dtype) for n, s in batches.items()}
    )
    initial = {name: variable.numpy() for name, variable in masking.named_weights(model).items()}
    samples = Samples(data, normalization, config.seed, config.weight_dtype)
    network = Network(model, recipe, initial, samples, evaluator)
    with directory.open(config, describe_data(data, normalization)):
        rows, phases, macs = _train(network, make_phases(config, recipe), config, data, normalization, evaluator, directory)
        digest = save_network(network, config, directory)
        result = make_result(config, network, rows, phases, macs, time.perf_counter() - began, digest)
        files.write_json(directory.result, result)
    return result


def _train(
    network: Network,
    phases: list[Phase],
    config: RunConfig,
    data: DataSet,
    normalization: Normalization,
    evaluator: Evaluator,
    directory: RunDirectory,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[tuple[int, float]]]:
    """All phases in order: (rows of the history, rows of result.json, multiply-adds of training on an image, per phase)."""
    positions = kernel_positions(network.model, data.image_shape)
    rows: list[dict[str, Any]] = []
    finished, macs = [], []
    for phase in phases:
        began = time.perf_counter()
        history = train_phase(network, phase, config, data, normalization, evaluator)
        rows += history.rows
        write_history(directory.history, rows)
        finished.append(phase_row(phase, history.rows, time.perf_counter() - began))
        macs.append(training_macs(network.model, positions, history.densities()))
    return rows, finished, macs


def describe_data(data: DataSet, normalization: Normalization) -> dict[str, Any]:
    """What export needs to know about the data, so that it does not need the data."""
    return {
        "image_shape": list(data.image_shape),
        "label_names": list(data.label_names),
        "value_range": data.value_range,
        "normalization": normalization.to_json(),
        "examples": {"train": len(data.train.labels), "validation": len(data.validation.labels), "test": len(data.test.labels)},
    }


def save_network(network: Network, config: RunConfig, directory: RunDirectory) -> str:
    """Writes weights.npz and ticket.npz; returns the digest of the weights.

    Raises:
      BadInput: a removed weight is not zero (`masking.strip` checks).
    """
    masking.strip(network.model)
    weights = {name: variable.numpy() for name, variable in masking.named_weights(network.model).items()}
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise RuntimeError(f"{name} holds values that are not finite numbers")
    files.write_atomic(directory.weights, files.npz_bytes(weights))
    masking.chosen_ticket(network.model, method=config.method, seed=config.seed, sparsity=config.sparsity).save(directory.ticket)
    return files.arrays_sha256(weights)


def dry_run(config: RunConfig) -> tuple[list[dict[str, object]], Any]:
    """The phases as rows, and the layer table with the ticket drawn; trains and writes nothing."""
    from dlth_tf.runs.plan import describe

    with machine(config) as strategy, strategy.scope():
        data, _, recipe, model = prepare(config)
        if config.sparsity and not METHODS.load(config.method).narrows:
            masking.apply_ticket(model, masking.random_ticket(model, config.sparsity, config.seed, **recipe.ticket_options))
        whole = masking.why_whole(model, config.dense_layers, config.granularity)
        return describe(make_phases(config, recipe), len(data.train.labels)), masking.layer_table(model, whole)
