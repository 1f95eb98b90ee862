"""The scalars of a run for TensorBoard, and its row in the HParams table: its settings and its outcome."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from dlth_tf.callbacks.sparsity_monitor import SparsityMonitor
from dlth_tf.legacy_keras import tensorflow_keras_is_keras2
from dlth_tf.measures import measure_in
from dlth_tf.methods import Network
from dlth_tf.runs.config import RunConfig

with tensorflow_keras_is_keras2():  # the plugin derives a callback from `tf.keras` while it is imported
    from tensorboard.plugins.hparams import api as hparams

# Next to the phases: TensorBoard takes every scalar in or below the folder of a trial as a metric of the trial.
FOLDER = "outcome"
SETTINGS = (
    "method",
    "sparsity",
    "seed",
    "dataset",
    "model",
    "allocation",
    "granularity",
    "epochs",
    "batch_size",
    "lr_values",
    "weight_decay",
    "penalty_step",
    "penalty_limit",
    "hold_steps",
    "transform_lr",
    "cycles",
)


class WholeNetworkMonitor(SparsityMonitor):
    """Writes scalars and histograms of the whole network, also while a compact one is trained in its place.

    Args:
      folder: TensorBoard directory of the phase.
      network: The network of the run.
    """

    def __init__(self, folder: str, network: Network) -> None:
        super().__init__(folder, histograms=True)
        self.network = network

    def measured(self) -> Any:
        """Returns the whole network with the weights that it has by now."""
        return self.network.whole()


def metrics(result: dict[str, Any]) -> dict[str, float]:
    """Returns the accuracies of result.json, 0 to 1, or the mean squared errors, under their names in the table."""
    name = measure_in(result["test"], "{}_last").name
    return {f"{split}_{name}_last": result[split][f"{name}_last"] for split in ("test", "val")}


def write_outcome(config: RunConfig, result: dict[str, Any]) -> None:
    """Writes the row of a run in the HParams table; the trial is named after the run directory.

    Args:
      config: Configuration of the run; its fields `SETTINGS` are the hyperparameters.
      result: Content of result.json; its metrics are written at the step after the last phase.
    """
    steps = sum(phase["steps"] for phase in result["phases"])
    writer = tf.summary.create_file_writer(os.path.join(config.run_dir, "tensorboard", FOLDER))
    with writer.as_default(step=steps):
        hparams.hparams({name: getattr(config, name) for name in SETTINGS}, trial_id=config.run_dir)
        for name, value in metrics(result).items():
            tf.summary.scalar(name, value)
    writer.close()
