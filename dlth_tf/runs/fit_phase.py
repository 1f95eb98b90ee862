"""One phase: a fresh optimizer, `model.fit`, an exact number of steps."""

from __future__ import annotations

import contextlib
from typing import Any

import tf_keras

from dlth_tf import masking, stopping
from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.optimizers import SGD
from dlth_tf.methods import LearningRate, Phase
from dlth_tf.runs.checkpointing.callback import CheckpointCallback
from dlth_tf.runs.checkpointing.files import Saved
from dlth_tf.runs.checkpointing.manager import restore_callbacks
from dlth_tf.runs.checkpointing.state import (
    build_training,
    restore_means,
    restore_network,
    restore_training,
)
from dlth_tf.runs.compact_phase import compact_phase
from dlth_tf.runs.devices.replicas import check_same
from dlth_tf.runs.evaluation import LOSSES
from dlth_tf.runs.plan import epochs_of
from dlth_tf.runs.shared_training import SharedTraining, reused
from dlth_tf.runs.training_run import Run
from dlth_tf.runs.watching.history import GrowingFile, History
from dlth_tf.runs.watching.progress import ProgressLine
from dlth_tf.runs.watching.tensorboard import WholeNetworkMonitor


def keras_schedule(rate: LearningRate) -> Any:
    """Returns a learning rate for Keras: a number or a PiecewiseConstantDecay.

    A boundary of PiecewiseConstantDecay is the last step of a piece, one of LearningRate the first step of the next.
    """
    if not rate.boundaries:
        return rate.values[0]
    return tf_keras.optimizers.schedules.PiecewiseConstantDecay(
        [boundary - 1 for boundary in rate.boundaries], list(rate.values)
    )


class PhaseCallbacks(tf_keras.callbacks.CallbackList):
    """Callbacks for which training begins and ends once, however many calls of `fit` a phase takes."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Does nothing; `begin` does."""

    def on_train_end(self, logs: Any = None) -> None:
        """Does nothing; `end` does."""

    def begin(self) -> None:
        """Calls `on_train_begin` of all callbacks."""
        super().on_train_begin()

    def end(self) -> None:
        """Calls `on_train_end` of all callbacks."""
        super().on_train_end()


class RestoredMeans(tf_keras.callbacks.Callback):
    """Restores the means of loss and accuracy in the epoch in which a phase resumes.

    Args:
      arrays: Arrays of the checkpoint.
    """

    _supports_tf_logs = True

    def __init__(self, arrays: dict[str, Any]) -> None:
        super().__init__()
        self.arrays = arrays
        self._restored = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restores the means, which Keras has just reset, in the first epoch."""
        if not self._restored:
            restore_means(self.model, self.arrays)
        self._restored = True


def train_phase(
    run: Run, phase: Phase, resume_from: Saved | None = None, shared: SharedTraining | None = None
) -> History:
    """Performs the start actions of a phase, its steps and its end actions; returns its history.

    Args:
      run: The run.
      phase: The phase.
      resume_from: A checkpoint inside this phase; the network has been restored from it.
      shared: Where another run may have stored the outcome of the steps; otherwise it is stored there.
    """
    network = run.network
    if resume_from is None:
        for action in phase.start:
            action(network)
        run.observer.on_phase_begin(phase, network)
    history = _history(run, phase)
    if shared is not None and shared.take(network, history):
        run.checkpoints.state.reused = reused(phase, history)
    else:
        with compact_phase(run, phase):
            _train(run, phase, history, resume_from)
        if shared is not None:
            shared.keep(network, history)
    run.observer.on_phase_end(phase, network)
    for action in phase.end:
        action(network)
    check_same(network.model)
    return history


def _history(run: Run, phase: Phase) -> History:
    """Returns the history of a phase, whose rows appear in history.csv while it trains."""
    growing = GrowingFile(run.directory.history)

    def on_row(row: dict[str, Any]) -> None:
        run.observer.on_row(row)
        if run.writes:
            growing.update([*run.checkpoints.state.rows, *history.rows])

    history = History(phase, run.network, on_row, run.config.evaluate_every)
    return history


def _train(run: Run, phase: Phase, history: History, resume_from: Saved | None) -> None:
    """Compiles the model and makes the steps of a phase, with all callbacks."""
    model = run.network.trained
    per_epoch = run.inputs.examples // phase.batch_size
    epochs = epochs_of(phase, run.inputs.examples)
    recipe = run.network.recipe
    model.compile(
        SGD(keras_schedule(phase.learning_rate), momentum=recipe.momentum, weight_decay=recipe.weight_decay),
        LOSSES[run.config.task],
        metrics=[run.config.measure.name],
        steps_per_execution=min(run.config.steps_per_execution, per_epoch),
        jit_compile=run.config.jit_compile,
    )
    bar = ProgressLine(phase, epochs, run.config.verbosity)
    watching = [*phase.callbacks(run.network), history, bar, ExactSteps(phase.steps)]
    watching += _tensorboard(run, phase)
    saver = CheckpointCallback(phase, per_epoch, run.checkpoints, watching)
    step = 0 if resume_from is None else resume_from.meta["step"]
    means = [RestoredMeans(resume_from.arrays)] if resume_from is not None and step % per_epoch else []
    callbacks = PhaseCallbacks(
        [*means, *watching, saver], add_history=True, model=model, epochs=epochs, steps=per_epoch, verbose=0
    )
    with contextlib.ExitStack() as ending:
        ending.callback(bar.close)
        ending.enter_context(masking.several_fits(model))
        callbacks.begin()
        build_training(model, run.inputs.example_labels(), run.inputs.num_classes)
        if resume_from is not None:
            _restore(run, resume_from, watching)
            saver.resume()
        with stopping.waiting_for_a_checkpoint():
            _fit(run, phase, callbacks, step)
        callbacks.end()


def _restore(run: Run, saved: Saved, callbacks: list[Any]) -> None:
    """Restores what training needs from a checkpoint inside of a phase."""
    try:
        restore_network(run.network.model, saved.arrays)  # again: some callbacks change weights when they begin
        if run.network.compact is not None:
            run.network.compact.read()
        restore_training(run.network.trained, saved.arrays)
        restore_callbacks(callbacks, saved)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        allowed = f"its newest checkpoint cannot be used ({reason}): delete it, and the one before is used"
        raise BadInput("run_dir", run.directory.path, allowed) from None


def _tensorboard(run: Run, phase: Phase) -> list[Any]:
    if not (run.config.tensorboard and run.writes):
        return []
    folder = f"{run.config.run_dir}/tensorboard/{phase.name}"
    return [
        WholeNetworkMonitor(folder, run.network),
        tf_keras.callbacks.TensorBoard(folder, write_graph=False),
    ]


def _fit(run: Run, phase: Phase, callbacks: PhaseCallbacks, step: int) -> None:
    """Makes the steps of a phase from `step` on: the rest of an epoch if it is inside one, then whole epochs."""
    per_epoch = callbacks.params["steps"]

    def fit(first: int, epoch: int, last_epoch: int, steps: int) -> None:
        batches = run.inputs.training(phase.name, phase.batch_size, phase.first_step + first, phase.steps - first)
        run.observer.on_fit(phase, batches)
        run.network.trained.fit(
            batches, initial_epoch=epoch, epochs=last_epoch, steps_per_epoch=steps, verbose=0, callbacks=callbacks
        )

    if step >= phase.steps:
        return
    epoch, done = divmod(step, per_epoch)
    if done:
        fit(step, epoch, epoch + 1, min(per_epoch, phase.steps - epoch * per_epoch) - done)
        epoch += 1
    if epoch * per_epoch < phase.steps:
        fit(epoch * per_epoch, epoch, callbacks.params["epochs"], per_epoch)
