"""The runner: knows phases, and nothing about methods."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf import data as data_room
from dlth_tf import deploy, files, masking
from dlth_tf.data import BatchFormat, DataSet, Normalization, Outline, evaluation_batches
from dlth_tf.errors import BadInput
from dlth_tf.masking.macs import kernel_positions, training_macs
from dlth_tf.methods import METHODS, Network, Phase, Recipe
from dlth_tf.runs.checkpointing.callback import CheckpointInterval, NotFinite
from dlth_tf.runs.checkpointing.files import CheckpointFiles, Saved
from dlth_tf.runs.checkpointing.manager import CheckpointManager, RunState
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.devices.replicas import agreed, log_what_differs, rate_factor, wait_for_all
from dlth_tf.runs.devices.strategies import writes
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.evaluation import Evaluator
from dlth_tf.runs.export_run import export_run
from dlth_tf.runs.fit_phase import train_phase
from dlth_tf.runs.history import OnRow, write_history
from dlth_tf.runs.inputs import Samples
from dlth_tf.runs.network import build_network
from dlth_tf.runs.plan import describe, make_phases, make_recipe
from dlth_tf.runs.result import make_result, phase_row
from dlth_tf.runs.shared_training import SharedTraining, shared_training
from dlth_tf.runs.tensorboard import write_outcome
from dlth_tf.runs.weights import load_weights


def run(config: RunConfig, on_row: OnRow | None = None) -> dict[str, Any]:
    """Runs a method from its first phase to result.json.

    A run directory that is complete with the same configuration is not touched: its result is returned. What is missing
    of its export (`export_dir`) is made up for.

    Args:
      config: the run.
      on_row: called with every row of the history as it comes.

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
            result = _run(config, directory, on_row)
    if config.export_dir and writes(config) and not Path(config.export_dir, "export.json").exists():
        export_run(directory.path, config.export_dir)
    return result


def prepare(config: RunConfig) -> tuple[DataSet, Normalization, Recipe, Any]:
    """Loads the data and builds the wrapped model: all that can still be refused, before anything is written."""
    data = data_room.load(config.dataset, config.data_dir)
    normalization = data_room.normalization(data, config.normalization)
    recipe, model = prepare_network(config, data_room.of_data(data))
    if config.export_dir:
        deploy.refuse_existing(config.export_dir)
    return data, normalization, recipe, model


def prepare_network(config: RunConfig, outline: Outline) -> tuple[Recipe, Any]:
    """The recipe and the wrapped model for data of this outline; refuses what does not fit them."""
    recipe = make_recipe(config, outline.examples)
    model = build_model(config, outline)
    masking.named_weights(model)
    masking.prunable_of_ticket(model, config.dense_layers, config.granularity)
    if config.sparsity and not METHODS.load(config.method).narrows:
        masking.random_ticket(
            model, config.sparsity, config.seed, **recipe.ticket_options
        )  # refuses options that do not fit these tensors
    return recipe, model


def build_model(config: RunConfig, outline: Outline) -> Any:
    """The wrapped network as the method starts with it."""
    model = build_network(config, outline.image_shape, outline.num_classes)
    if config.init_weights:
        load_weights(model, config.init_weights)
    return masking.wrap(model)


def _run(config: RunConfig, directory: RunDirectory, on_row: OnRow | None) -> dict[str, Any]:
    data, normalization, recipe, model = prepare(config)
    batches = {"val": data.validation, "test": data.test}
    evaluator = Evaluator(
        model,
        {n: evaluation_batches(s, BatchFormat(normalization, dtype=config.weight_dtype)) for n, s in batches.items()},
    )
    initial = {name: variable.numpy() for name, variable in masking.named_weights(model).items()}
    samples = Samples(data, normalization, config.seed, config.weight_dtype)
    network = Network(model, recipe, initial, samples, evaluator)
    with open_for_all(directory, config, describe_data(data, normalization)):
        log_what_differs(model, config)
        clock = CheckpointInterval(*config.checkpoint_interval())
        keeper = CheckpointManager(network, CheckpointFiles(directory.checkpoints), clock, on_row, writes(config))
        _train(network, phases_of(config, recipe), config, data, normalization, evaluator, directory, keeper)
        digest = save_network(network, config, directory)
        result = make_result(config, network, keeper.state, keeper.seconds(), digest)
        if keeper.writes:
            if config.tensorboard:
                write_outcome(config, result)
            files.write_json(directory.result, result)
            keeper.checkpoints.clear()
        wait_for_all()  # no worker leaves before the result is there
    return result


def open_for_all(
    directory: RunDirectory, config: RunConfig, about: dict[str, Any]
) -> contextlib.AbstractContextManager[Any]:
    """The lock of the run directory for whoever writes it; other workers wait until it is taken, or refused."""
    lock: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    try:
        if writes(config):
            lock = directory.open(config, about)
    except BadInput:
        agreed(True)
        raise
    if agreed(False)[0]:
        raise BadInput("run_dir", directory.path, "cannot be used by the first worker, which says why")
    return lock


def phases_of(config: RunConfig, recipe: Recipe) -> list[Phase]:
    """The phases as they are trained on this many replicas."""
    factor = rate_factor(config)
    return [
        dataclasses.replace(phase, learning_rate=phase.learning_rate.scaled(factor))
        for phase in make_phases(config, recipe)
    ]


def _train(
    network: Network,
    phases: list[Phase],
    config: RunConfig,
    data: DataSet,
    normalization: Normalization,
    evaluator: Evaluator,
    directory: RunDirectory,
    keeper: CheckpointManager,
) -> None:
    """All phases in order, from the newest checkpoint on; what they leave behind is in the keeper's state."""
    positions = kernel_positions(network.model, data.image_shape)
    saved = _go_on(keeper, phases)
    if saved is None and config.on_nan == "rollback":
        keeper.save()
    while keeper.state.phase < len(phases):
        state = keeper.state
        phase = phases[state.phase]
        phase = dataclasses.replace(phase, learning_rate=phase.learning_rate.scaled(state.rate_scale))
        inside = saved if saved is not None and saved.meta["inside"] else None
        try:
            with sharing(config, network, phase, state, len(data.train.labels)) as shared:
                history = train_phase(network, phase, config, data, normalization, evaluator, keeper, inside, shared)
        except NotFinite as error:
            saved = _roll_back(keeper, config, phase, error)
            continue
        saved = None
        state.rows += history.rows
        if keeper.writes:
            write_history(directory.history, state.rows)
        state.phases.append(phase_row(phase, history.rows))
        state.macs.append(training_macs(network.model, positions, history.densities()))
        state.phase += 1
        if state.phase < len(phases) and agreed(config.on_nan == "rollback" or keeper.clock.due_between_phases())[0]:
            keeper.save()


def sharing(
    config: RunConfig, network: Network, phase: Phase, state: RunState, examples: int
) -> contextlib.AbstractContextManager[SharedTraining | None]:
    """Where runs of a sweep have a training in common, if this is their first phase as they were told to train it."""
    if state.phase or state.rollback:
        return contextlib.nullcontext()
    return shared_training(config, network, phase, examples)


def _go_on(keeper: CheckpointManager, phases: list[Phase]) -> Saved | None:
    """The newest checkpoint, if there is one; the network is as it was there."""
    saved = keeper.load()
    wait_for_all()  # nobody writes another before all have read this one
    if saved is not None and keeper.state.phase < len(phases):
        step, name = saved.meta.get("step", 0), phases[keeper.state.phase].name
        logging.getLogger("dlth_tf").info("going on from a checkpoint: phase %s, step %d", name, step)
    return saved


def _roll_back(keeper: CheckpointManager, config: RunConfig, phase: Phase, error: NotFinite) -> Saved:
    """Back to the last checkpoint with half the learning rate, once; raises `error` otherwise."""
    if config.on_nan != "rollback" or keeper.state.rollback:
        raise error
    saved = keeper.load()
    if saved is None:
        raise error
    keeper.state.rate_scale /= 2
    keeper.state.rollback = {
        "phase": phase.name,
        "reason": str(error).split(":")[0],
        "rate_scale": keeper.state.rate_scale,
    }
    logging.getLogger("dlth_tf").warning("%s; going back to the last checkpoint with half the learning rate", error)
    return saved


def describe_data(data: DataSet, normalization: Normalization) -> dict[str, Any]:
    """What export needs to know about the data, so that it does not need the data."""
    return {
        "image_shape": list(data.image_shape),
        "label_names": list(data.label_names),
        "value_range": data.value_range,
        "normalization": normalization.to_json(),
        "examples": {
            "train": len(data.train.labels),
            "validation": len(data.validation.labels),
            "test": len(data.test.labels),
        },
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
    if writes(config):
        files.write_atomic(directory.weights, files.npz_bytes(weights))
        masking.chosen_ticket(network.model, method=config.method, seed=config.seed, sparsity=config.sparsity).save(
            directory.ticket
        )
    return files.arrays_sha256(weights)


def dry_run(config: RunConfig) -> tuple[list[dict[str, object]], Any, str]:
    """The phases as rows, the layer table with the ticket drawn, and where sizes are known from; trains and writes nothing."""
    with machine(config) as strategy, strategy.scope():
        outline = data_room.outline(config.dataset, config.data_dir)
        recipe, model = prepare_network(config, outline)
        if config.sparsity and not METHODS.load(config.method).narrows:
            masking.apply_ticket(
                model, masking.random_ticket(model, config.sparsity, config.seed, **recipe.ticket_options)
            )
        positions = kernel_positions(model, outline.image_shape)
        macs, _ = training_macs(model, positions, {})
        whole = masking.why_whole(model, config.dense_layers, config.granularity)
        return (
            describe(phases_of(config, recipe), outline.examples, macs),
            masking.layer_table(model, whole),
            outline.known_from,
        )
