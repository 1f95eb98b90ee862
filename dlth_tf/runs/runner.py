"""The runner: trains the phases of any method, and knows nothing about methods."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import Any

import tf_keras

from dlth_tf import data as data_room
from dlth_tf import files, masking
from dlth_tf.errors import BadInput
from dlth_tf.masking.macs import kernel_positions, training_macs
from dlth_tf.methods import Network, Phase, Recipe
from dlth_tf.runs.checkpointing.callback import NotFinite
from dlth_tf.runs.checkpointing.files import CheckpointFiles, Saved
from dlth_tf.runs.checkpointing.interval import CheckpointInterval
from dlth_tf.runs.checkpointing.manager import CheckpointManager
from dlth_tf.runs.checkpointing.state import most_bytes
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.devices.replicas import agreed, log_what_differs, rate_factor, wait_for_all
from dlth_tf.runs.devices.strategies import writes
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.evaluation import Evaluator
from dlth_tf.runs.export_place import refuse_taken
from dlth_tf.runs.fit_phase import train_phase
from dlth_tf.runs.inputs import Inputs, load_inputs
from dlth_tf.runs.network import prepare_network
from dlth_tf.runs.plan import make_phases, out_of_proportion
from dlth_tf.runs.result import make_result, phase_row
from dlth_tf.runs.shared_training import SharedTraining, shared_training
from dlth_tf.runs.training_run import Observer, OnRow, Run
from dlth_tf.runs.watching.history import History, write_history
from dlth_tf.runs.watching.tensorboard import write_outcome
from dlth_tf.runs.weights import save_network


def run(config: RunConfig, on_row: OnRow | None = None, observer: Observer | None = None) -> dict[str, Any]:
    """Trains a run like `train_and_export.run`, without an export.

    A complete run directory with the same configuration is not modified: its result is returned.
    """
    directory = RunDirectory(Path(config.run_dir))
    directory.refuse_other_runs(config)
    result = directory.complete_result()
    if result is None:
        with machine(config) as strategy, strategy.scope():
            result = _run(config, directory, observer or Observer(on_row))
    return result


def prepare(config: RunConfig) -> tuple[Inputs, Recipe, tf_keras.Model]:
    """Loads the data and builds the wrapped model: everything that can be refused before anything is written."""
    inputs = load_inputs(config)
    recipe, model = prepare_network(config, data_room.of_data(inputs.data))
    refuse_taken(config)
    return inputs, recipe, model


def _run(config: RunConfig, directory: RunDirectory, observer: Observer) -> dict[str, Any]:
    inputs, recipe, model = prepare(config)
    initial = masking.weight_arrays(model)
    network = Network(model, recipe, initial, inputs, Evaluator(model, inputs.evaluation(), config.measure))
    interval = CheckpointInterval.parse(config.checkpoint_every)
    checkpoints = CheckpointManager(
        network, CheckpointFiles(directory.checkpoints, most_bytes(initial)), interval, writes(config.strategy)
    )
    run = Run(config, directory, inputs, network, checkpoints, observer)
    with open_for_all(run), data_room.broken_images_named(inputs.data):
        log_what_differs(model, run.config.scale_lr)
        _train(run)
        result = make_result(run)  # first: saving strips the network, a subclassed one in place
        result["weights_sha256"] = save_network(run)
        if run.writes:
            if run.config.tensorboard:
                write_outcome(run.config, result)
            files.write_json(directory.result, result)
            checkpoints.files.clear()
        wait_for_all()  # no worker exits before the result exists
    return result


def open_for_all(run: Run) -> contextlib.AbstractContextManager[Any]:
    """Locks the run directory in the process that writes it; the other workers wait until it is locked or refused."""
    lock: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    try:
        if run.writes:
            lock = run.directory.open(run.config, run.inputs.to_json())
    except BadInput:
        agreed(True)
        raise
    if agreed(False)[0]:
        raise BadInput("run_dir", run.directory.path, "cannot be used by worker 0, which reports the reason")
    return lock


def _train(run: Run) -> None:
    """Trains all phases in order, from the newest checkpoint on; the outcome is the state of `run.checkpoints`."""
    phases = make_phases(run.config.method, run.network.recipe, rate_factor(run.config.scale_lr))
    if run.writes and run.config.verbosity and (warning := out_of_proportion(phases, run.network.recipe)):
        logging.getLogger("dlth_tf").warning(warning)
    checkpoints = run.checkpoints
    rollback = run.config.on_nan == "rollback"
    positions = kernel_positions(run.network.model, run.inputs.image_shape)
    saved = _resume(checkpoints, phases)
    if saved is None and rollback:
        checkpoints.save()
    while checkpoints.state.phase < len(phases):
        phase = phases[checkpoints.state.phase]
        phase = dataclasses.replace(phase, learning_rate=phase.learning_rate.scaled(checkpoints.state.rate_scale))
        inside = saved if saved is not None and saved.meta["inside"] else None
        try:
            with _sharing(run, phase) as shared:
                history = train_phase(run, phase, inside, shared)
        except NotFinite as error:
            saved = _roll_back(run, phase, error)
            continue
        saved = None
        _add(run, phase, history, positions)
        unfinished = checkpoints.state.phase < len(phases)
        if unfinished and agreed(rollback or checkpoints.due_between_phases())[0]:
            checkpoints.save()


def _add(run: Run, phase: Phase, history: History, positions: dict[str, int]) -> None:
    """Adds a completed phase to the state of the run, and writes the history so far."""
    state = run.checkpoints.state
    state.rows += history.rows
    if run.writes:
        write_history(run.directory.history, state.rows)
    state.phases.append(phase_row(phase, history.rows))
    state.macs.append(training_macs(run.network.model, positions, history.densities()))
    state.phase += 1


def _sharing(run: Run, phase: Phase) -> contextlib.AbstractContextManager[SharedTraining | None]:
    """The shared training of the first phase, unless a rollback has changed its learning rate; None otherwise."""
    state = run.checkpoints.state
    return contextlib.nullcontext() if state.phase or state.rollback else shared_training(run, phase)


def _resume(checkpoints: CheckpointManager, phases: list[Phase]) -> Saved | None:
    """Restores the newest checkpoint, if there is one."""
    saved = checkpoints.load(len(phases))
    wait_for_all()  # no worker writes another one before all have read this one
    if saved is not None and checkpoints.state.phase < len(phases):
        step = saved.meta.get("step", 0)
        name = phases[checkpoints.state.phase].name
        logging.getLogger("dlth_tf").info("resuming from a checkpoint: phase %s, step %d", name, step)
    return saved


def _roll_back(run: Run, phase: Phase, error: NotFinite) -> Saved:
    """Restores the last checkpoint and halves the learning rate, once; otherwise raises `error`."""
    checkpoints = run.checkpoints
    if run.config.on_nan != "rollback" or checkpoints.state.rollback:
        raise error
    saved = checkpoints.load()
    if saved is None:
        raise error
    state = checkpoints.state
    state.rate_scale /= 2
    state.rollback = {"phase": phase.name, "reason": str(error).split(":")[0], "rate_scale": state.rate_scale}
    logging.getLogger("dlth_tf").warning(
        "%s; returning to the last checkpoint with half the learning rate", error.observed
    )
    return saved
