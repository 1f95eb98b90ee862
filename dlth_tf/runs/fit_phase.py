"""One phase: a fresh optimizer, `model.fit`, an exact number of steps."""

from __future__ import annotations

import contextlib
from typing import Any, cast

import tensorflow as tf
import tf_keras

from dlth_tf import stopping
from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.callbacks.sparsity_monitor import SparsityMonitor
from dlth_tf.data import BatchFormat, BatchOrder, DataSet, Normalization, augmentation, train_batches
from dlth_tf.masking.keras2.optimizers import SGD
from dlth_tf.methods import LearningRate, Network, Phase
from dlth_tf.runs.checkpointing.callback import CheckpointCallback
from dlth_tf.runs.checkpointing.files import Saved
from dlth_tf.runs.checkpointing.manager import CheckpointManager, restore_callbacks
from dlth_tf.runs.checkpointing.state import restore_means, restore_network, restore_training
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.replicas import check_same
from dlth_tf.runs.evaluation import Evaluator, cross_entropy
from dlth_tf.runs.history import History
from dlth_tf.runs.plan import epochs_of
from dlth_tf.runs.progress import ProgressLine
from dlth_tf.runs.shared_training import SharedTraining, reused


def keras_schedule(rate: LearningRate) -> Any:
    """The learning rate as Keras takes it: a number, or PiecewiseConstantDecay (whose boundaries are each piece's last step)."""
    if not rate.boundaries:
        return rate.values[0]
    return tf_keras.optimizers.schedules.PiecewiseConstantDecay(
        [boundary - 1 for boundary in rate.boundaries], list(rate.values)
    )


class PhaseCallbacks(tf_keras.callbacks.CallbackList):
    """Callbacks of a phase, told once that training begins and ends, however many calls of `fit` there are between."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Left out: see `begin`."""

    def on_train_end(self, logs: Any = None) -> None:
        """Left out: see `end`."""

    def begin(self) -> None:
        """Training begins."""
        super().on_train_begin()

    def end(self) -> None:
        """Training has ended."""
        super().on_train_end()


def train_phase(
    network: Network,
    phase: Phase,
    config: RunConfig,
    data: DataSet,
    normalization: Normalization,
    evaluator: Evaluator,
    keeper: CheckpointManager,
    saved: Saved | None = None,
    shared: SharedTraining | None = None,
) -> History:
    """Runs a phase's start, its steps and its end; returns its history.

    Args:
      network: wrapped.
      phase: what to do.
      config: of the run.
      data: of the run.
      normalization: of the images.
      evaluator: of every epoch.
      keeper: writes checkpoints.
      saved: a checkpoint from inside this phase to go on from; the network is as it was there.
      shared: where the steps' outcome lies, if another run has made them, and where it is put otherwise.
    """
    if saved is None:
        for action in phase.start:
            action(network)
    history = History(phase, evaluator, keeper.on_row)
    if shared is not None and shared.take(network, history):
        keeper.state.reused = reused(phase, history)
    else:
        _train(network, phase, config, data, normalization, history, keeper, saved)
        if shared is not None:
            shared.keep(network, history)
    for action in phase.end:
        action(network)
    check_same(network.model)
    return history


def _train(
    network: Network,
    phase: Phase,
    config: RunConfig,
    data: DataSet,
    normalization: Normalization,
    history: History,
    keeper: CheckpointManager,
    saved: Saved | None,
) -> None:
    """The steps of a phase, with everything that watches them."""
    model, examples = network.model, len(data.train.labels)
    per_epoch, epochs = examples // phase.batch_size, epochs_of(phase, examples)
    optimizer = SGD(
        keras_schedule(phase.learning_rate), momentum=network.recipe.momentum, weight_decay=network.recipe.weight_decay
    )
    model.compile(
        optimizer,
        cross_entropy,
        metrics=["accuracy"],
        steps_per_execution=min(config.steps_per_execution, per_epoch),
        jit_compile=config.jit_compile,
    )
    bar = ProgressLine(phase, epochs, config.verbosity)
    found = [*phase.callbacks(), *phase.watch(network), history, bar, ExactSteps(phase.steps)]
    if config.tensorboard and keeper.writes:
        found.append(SparsityMonitor(f"{config.run_dir}/tensorboard/{phase.name}", histograms=True))
        found.append(tf_keras.callbacks.TensorBoard(f"{config.run_dir}/tensorboard/{phase.name}", write_graph=False))
    saver = CheckpointCallback(
        phase.name, phase.steps, per_epoch, lambda steps: keeper.clock.due(steps, per_epoch), lambda: keeper.save(found)
    )
    callbacks = PhaseCallbacks(
        [*found, saver], add_history=True, model=model, epochs=epochs, steps=per_epoch, verbose=0
    )
    with contextlib.ExitStack() as ending:
        ending.callback(bar.close)
        callbacks.begin()
        step = 0
        if saved is not None:
            restore_network(model, saved.arrays)  # again, since some callbacks change weights when they begin
            restore_training(model, saved.arrays)
            restore_callbacks(found, saved)
            step = saver.go_on()
        with stopping.waiting_for_a_checkpoint():
            _fit(network, phase, config, data, normalization, callbacks, step, saved)
        callbacks.end()


def _fit(
    network: Network,
    phase: Phase,
    config: RunConfig,
    data: DataSet,
    normalization: Normalization,
    callbacks: PhaseCallbacks,
    step: int,
    saved: Saved | None,
) -> None:
    """The steps of a phase from `step` on: what is left of an epoch that was begun, then whole epochs."""
    per_epoch, epochs = callbacks.params["steps"], callbacks.params["epochs"]

    def fit(first: int, epoch: int, last_epoch: int, steps: int) -> None:
        batches = train_batches(
            data.train,
            BatchOrder(phase.batch_size, config.seed, phase.name, phase.first_step + first, phase.steps - first),
            BatchFormat(
                normalization,
                config.augment or data.augment,
                config.weight_dtype,
                data.num_classes,
                data.value_range,
            ),
        )
        network.model.fit(
            batches, initial_epoch=epoch, epochs=last_epoch, steps_per_epoch=steps, verbose=0, callbacks=callbacks
        )

    epoch, done = divmod(step, per_epoch)
    if step >= phase.steps:
        return
    if done:
        labels = (
            tf.zeros([1, data.num_classes])
            if augmentation(config.augment or data.augment).soft_labels
            else tf.zeros([1], tf.int64)
        )
        means = RestoredMeans(cast(Saved, saved), labels, data.num_classes)
        means.set_model(network.model)
        callbacks.callbacks.insert(0, means)
        fit(step, epoch, epoch + 1, min(per_epoch, phase.steps - epoch * per_epoch) - done)
        callbacks.callbacks.remove(means)
        epoch += 1
    if epoch * per_epoch < phase.steps:
        fit(epoch * per_epoch, epoch, epochs, per_epoch)


class RestoredMeans(tf_keras.callbacks.Callback):
    """Lets the means of loss and accuracy go on in the middle of an epoch."""

    _supports_tf_logs = True

    def __init__(self, saved: Saved, labels: tf.Tensor, classes: int) -> None:
        super().__init__()
        self.saved, self.labels, self.classes = saved, labels, classes

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras has just reset them."""
        restore_means(self.model, self.saved.arrays, self.labels, self.classes)
