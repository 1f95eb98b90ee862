"""history.csv: one row per evaluated epoch of every phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tf_keras

from dlth_tf import files, masking
from dlth_tf.masking.macs import densities
from dlth_tf.measures import ACCURACY, Measure, measure_in
from dlth_tf.methods import Network, Phase
from dlth_tf.runs.plan import is_evaluated
from dlth_tf.runs.watching.weight_statistics import weight_statistics

_COLUMNS = (
    "phase",
    "epoch",
    "step",
    "loss",
    "{}",
    "val_loss",
    "val_{}",
    "test_loss",
    "test_{}",
    "lr",
    "penalty",
    "sparsity",
    "magnitude_kept",
    "magnitude_removed",
    "seconds",
)


def columns(measure: Measure = ACCURACY) -> tuple[str, ...]:
    """Returns the names of the columns, some of which are named after the measure of the task."""
    return tuple(name.format(measure.name) for name in _COLUMNS)


COLUMNS = columns()
SECONDS_APART = 10.0  # between two times that history.csv is written during a phase


class History(tf_keras.callbacks.Callback):
    """Evaluates the network at the ends of epochs, and collects the rows of one phase.

    Args:
      phase: The phase.
      network: The network, whose `evaluate` returns {"val_loss": ..., "val_accuracy": ..., "test_loss": ...,
        "test_accuracy": ...}, or "val_mse" and "test_mse" in regression. Sparsity and magnitudes are those of the whole
        network, whatever is trained in its place.
      on_row: Called with every new row.
      every: Interval in epochs between two evaluations; the last epochs are all evaluated.
    """

    def __init__(
        self,
        phase: Phase,
        network: Network,
        on_row: Callable[[dict[str, Any]], None],
        every: int = 1,
    ) -> None:
        super().__init__()
        self.phase = phase
        self.network = network
        self.on_row = on_row
        self.every = every
        self.rows: list[dict[str, Any]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the phase."""
        self._step = self._steps_made()
        self._sums: dict[str, np.ndarray] = {}
        self._statistics = weight_statistics(self.network.model)
        self._began = time.perf_counter()

    def saved_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns the rows so far and the sums that the next row depends on."""
        sums = {name: values.tolist() for name, values in self._sums.items()}
        return {"rows": self.rows, "step": self._step, "sums": sums, "seconds": self.seconds()}, {}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Restores what `saved_state` returned."""
        self.rows = list(meta["rows"])
        self._step = meta["step"]
        self._sums = {name: np.array(values) for name, values in meta["sums"].items()}
        self._began = time.perf_counter() - meta["seconds"]

    def _steps_made(self) -> int:
        return masking.steps_made(self.model)

    def densities(self) -> dict[str, tuple[float, float]]:
        """Returns the means of `macs.densities` over the steps of the phase so far."""
        return {name: (float(sums[0] / sums[2]), float(sums[1] / sums[2])) for name, sums in self._sums.items()}

    def seconds(self) -> float:
        """Returns the duration of the phase, without the time between two processes of the run."""
        return time.perf_counter() - self._began

    def _add_densities(self, step: int, kept: Mapping[str, float]) -> None:
        for name, density in densities(self.network.model, self._step, step, kept).items():
            steps = step - self._step
            self._sums[name] = self._sums.get(name, np.zeros(3)) + steps * np.array([*density, 1.0])
        self._step = step

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the row of an evaluated epoch, and writes its values into `logs`."""
        step = self._steps_made()
        self.network.whole()
        now = self._statistics()
        self._add_densities(step, now.kept)
        logs.update(lr=self.phase.learning_rate.at(max(0, step - 1)), seconds=self.seconds())
        logs.update({name: getattr(now, name) for name in ("sparsity", "magnitude_kept", "magnitude_removed")})
        logs.setdefault("penalty", 0.0)
        if not is_evaluated(epoch + 1, self.params["epochs"], self.every):
            return
        logs.update(self.network.evaluate())
        logs.update(seconds=self.seconds())
        values = {name: logs[name] for name in columns(measure_in(logs, "test_{}"))[3:]}
        self.rows.append({"phase": self.phase.name, "epoch": epoch + 1, "step": step, **values})
        self.on_row(self.rows[-1])


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows of all phases so far, atomically."""
    names = columns(measure_in(rows[0] if rows else (), "test_{}"))
    files.write_atomic(path, pd.DataFrame(rows, columns=list(names)).to_csv(index=False))


class GrowingFile:
    """history.csv of a run that is training: written at the ends of epochs, seconds apart.

    The runner writes it once more, complete, at the end of every phase.

    Args:
      path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = time.monotonic()

    def update(self, rows: list[dict[str, Any]]) -> None:
        """Writes the rows so far, unless the file was written less than `SECONDS_APART` ago."""
        if time.monotonic() - self._written >= SECONDS_APART:
            write_history(self.path, rows)
            self._written = time.monotonic()
