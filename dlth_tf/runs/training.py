"""One phase: a fresh optimizer, `model.fit`, an exact number of steps."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.callbacks.sparsity_monitor import SparsityMonitor
from dlth_tf.data import DataSet, Normalization, train_batches
from dlth_tf.masking.optimizers import SGD
from dlth_tf.methods import LearningRate, Network, Phase
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.evaluate import Evaluator, cross_entropy
from dlth_tf.runs.history import History
from dlth_tf.runs.plan import epochs_of
from dlth_tf.runs.progress import ProgressLine


def keras_schedule(rate: LearningRate) -> Any:
    """The learning rate as Keras takes it: a number, or PiecewiseConstantDecay (whose boundaries are each piece's last step)."""
    if not rate.boundaries:
        return rate.values[0]
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay([boundary - 1 for boundary in rate.boundaries], list(rate.values))


def train_phase(
    network: Network, phase: Phase, config: RunConfig, data: DataSet, normalization: Normalization, evaluator: Evaluator
) -> History:
    """Runs a phase's start, its steps and its end; returns its history."""
    for action in phase.start:
        action(network)
    model, examples = network.model, len(data.train.labels)
    per_epoch, epochs = examples // phase.batch_size, epochs_of(phase, examples)
    optimizer = SGD(keras_schedule(phase.learning_rate), momentum=network.recipe.momentum, weight_decay=network.recipe.weight_decay)
    model.compile(
        optimizer,
        cross_entropy,
        metrics=["accuracy"],
        steps_per_execution=min(config.steps_per_execution, per_epoch),
        jit_compile=config.jit_compile,
    )
    batches = train_batches(
        data.train,
        batch_size=phase.batch_size,
        seed=config.seed,
        stream=phase.name,
        normalization=normalization,
        augment=config.augment or data.augment,
        start=phase.first_step,
        steps=phase.steps,
        dtype=config.weight_dtype,
    )
    history, progress = History(phase, evaluator), ProgressLine(phase, epochs, config.verbosity)
    callbacks = [*phase.callbacks(), *phase.watch(network), history, progress, ExactSteps(phase.steps)]
    if config.tensorboard:
        callbacks.append(SparsityMonitor(f"{config.run_dir}/tensorboard/{phase.name}", histograms=True))
        callbacks.append(tf.keras.callbacks.TensorBoard(f"{config.run_dir}/tensorboard/{phase.name}", write_graph=False))
    try:
        model.fit(batches, epochs=epochs, steps_per_epoch=per_epoch, verbose=0, callbacks=callbacks)
    finally:
        progress.close()
    for action in phase.end:
        action(network)
    return history
