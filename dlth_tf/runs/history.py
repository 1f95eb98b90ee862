"""history.csv: one row per epoch of every phase."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tf_keras

from dlth_tf import files, masking
from dlth_tf.masking.macs import densities
from dlth_tf.methods import Phase
from dlth_tf.runs.evaluation import Evaluator

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
    "magnitude_kept",
    "magnitude_removed",
    "seconds",
)

OnRow = Callable[[dict[str, Any]], None]  # whoever wants to hear of every row as it comes


class History(tf_keras.callbacks.Callback):
    """Evaluates at every epoch's end and keeps the rows of one phase."""

    def __init__(self, phase: Phase, evaluator: Evaluator, on_row: OnRow | None = None) -> None:
        super().__init__()
        self.phase, self.evaluator, self.on_row = phase, evaluator, on_row
        self.rows: list[dict[str, Any]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the phase's clock."""
        self._step = self._steps_made()
        self._sums: dict[str, np.ndarray] = {}
        self._began = time.perf_counter()

    def saved_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The rows so far, and what the next one needs."""
        sums = {name: found.tolist() for name, found in self._sums.items()}
        return {"rows": self.rows, "step": self._step, "sums": sums, "seconds": self.seconds()}, {}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Goes on as it was when `saved_state` was called."""
        self.rows, self._step = list(meta["rows"]), meta["step"]
        self._sums = {name: np.array(found) for name, found in meta["sums"].items()}
        self._began = time.perf_counter() - meta["seconds"]

    def _steps_made(self) -> int:
        return int(masking.inner_optimizer(self.model).iterations.numpy())

    def densities(self) -> dict[str, tuple[float, float]]:
        """The mean of `cost.densities` over the phase's steps so far."""
        return {name: (float(sums[0] / sums[2]), float(sums[1] / sums[2])) for name, sums in self._sums.items()}

    def seconds(self) -> float:
        """Since the phase began, without the time between two processes of the run."""
        return time.perf_counter() - self._began

    def _add_densities(self, step: int) -> None:
        for name, found in densities(self.model, self._step, step).items():
            steps = step - self._step
            self._sums[name] = self._sums.get(name, np.zeros(3)) + steps * np.array([*found, 1.0])
        self._step = step

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the epoch's row, and puts what was measured into `logs`."""
        step = self._steps_made()
        self._add_densities(step)
        logs.update(self.evaluator())
        logs.update(lr=self.phase.learning_rate.at(max(0, step - 1)), seconds=self.seconds())
        logs.update(_weights_now(self.model))
        logs.setdefault("penalty", 0.0)
        self.rows.append(
            {"phase": self.phase.name, "epoch": epoch + 1, "step": step, **{name: logs[name] for name in COLUMNS[3:]}}
        )
        if self.on_row:
            self.on_row(self.rows[-1])


def _weights_now(model: tf_keras.Model) -> dict[str, float]:
    """Sparsity over all prunable tensors, and mean |w| of what the ticket keeps and of what it does not, over those it prunes."""
    removed = total = 0
    sums, counts = np.zeros(2), np.zeros(2)
    for entry in masking.prunable_weights(model).values():
        kept, chosen = entry.kept(), entry.chosen()
        removed, total = removed + kept.size - int(np.count_nonzero(kept)), total + kept.size
        if not chosen.all():
            size = np.abs(entry.weight.numpy())
            sums += size.sum(where=chosen, dtype=np.float64), size.sum(where=~chosen, dtype=np.float64)
            counts += np.count_nonzero(chosen), np.count_nonzero(~chosen)
    kept_size, removed_size = (sums / np.maximum(counts, 1)).tolist()
    return {"sparsity": removed / total, "magnitude_kept": kept_size, "magnitude_removed": removed_size}


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows of all phases so far, atomically."""
    files.write_atomic(path, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))
