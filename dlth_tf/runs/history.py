"""history.csv: one row per epoch of every phase."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from dlth_tf import files, masking
from dlth_tf.methods import Phase
from dlth_tf.runs.cost import densities
from dlth_tf.runs.evaluate import Evaluator

COLUMNS = (
    "phase",
    "epoch",
    "step",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "test_accuracy",
    "lr",
    "penalty",
    "sparsity",
    "seconds",
)


class History(tf.keras.callbacks.Callback):
    """Evaluates at every epoch's end and keeps the rows of one phase.

    Raises:
      RuntimeError: the loss is not a finite number any more.
    """

    def __init__(self, phase: Phase, evaluator: Evaluator) -> None:
        super().__init__()
        self.phase, self.evaluator = phase, evaluator
        self.rows: list[dict[str, Any]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the phase's clock; sparsity is that of the whole phase, since masks change only between phases."""
        self.densities = densities(self.model)
        kept = [entry.kept() for entry in masking.prunable_weights(self.model).values()]
        self._sparsity = 1 - sum(int(mask.sum()) for mask in kept) / sum(mask.size for mask in kept)
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the epoch's row, and puts what was measured into `logs`."""
        step = int(masking.inner_optimizer(self.model).iterations.numpy())
        if not math.isfinite(logs["loss"]):
            raise RuntimeError(
                f"the loss is {logs['loss']} in phase {self.phase.name}, at or before step {step}: a smaller learning rate may help"
            )
        logs.update(self.evaluator())
        logs.update(lr=self.phase.learning_rate.at(max(0, step - 1)), sparsity=self._sparsity, seconds=time.perf_counter() - self._began)
        logs.setdefault("penalty", 0.0)
        self.rows.append({"phase": self.phase.name, "epoch": epoch + 1, "step": step, **{name: logs[name] for name in COLUMNS[3:]}})


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows of all phases so far, atomically."""
    files.write_atomic(path, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))
