"""What a run says while it trains: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dlth_tf import masking
from dlth_tf.methods import Phase


class ProgressLine(tf.keras.callbacks.Callback):
    """Tells phase, epoch, accuracy, penalty and time left.

    Args:
      phase: what is trained.
      epochs: its number of epochs.
      verbosity: 0 silent; 1 a bar on a terminal and lines elsewhere; 2 lines.
    """

    _supports_tf_logs = True  # no copy of the metrics to the host at every step

    def __init__(self, phase: Phase, epochs: int, verbosity: int, console: Console | None = None) -> None:
        super().__init__()
        self.phase, self.epochs = phase, epochs
        self.console = console or Console(stderr=False, highlight=False)
        self.lines = verbosity == 2 or (verbosity == 1 and not self.console.is_terminal)
        self.bar = self._bar() if verbosity == 1 and self.console.is_terminal else None

    def _bar(self) -> Progress:
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[note]}"),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=self.console)

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        if self.bar:
            self._task = self.bar.add_task(self.phase.name, total=self.phase.steps, note=f"epoch 1/{self.epochs}")
            self._before = 0
            self.bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Batch numbers start anew, perhaps in the middle of an epoch of a run that goes on."""
        self._before = int(masking.inner_optimizer(self.model).iterations.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar (once per execution, and only on a terminal)."""
        if self.bar:
            self.bar.update(self._task, completed=self._before + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Says what the epoch gave."""
        note = f"epoch {epoch + 1}/{self.epochs}  loss {float(logs['loss']):.4f}"
        note += f"  val {logs['val_accuracy']:.2%}  test {logs['test_accuracy']:.2%}"
        note += f"  penalty {logs['penalty']:.3g}" if logs["penalty"] else ""
        if self.lines:
            self.console.print(f"{self.phase.name}: {note}  {logs['seconds']:.1f} s", soft_wrap=True)
        if self.bar:
            self._before = min(self.phase.steps, (epoch + 1) * self.params["steps"])
            self.bar.update(self._task, completed=self._before, note=note)

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the finished bar on the screen."""
        self.close()

    def close(self) -> None:
        """Takes the bar off, so that what comes after it prints clean."""
        if self.bar:
            self.bar.stop()
