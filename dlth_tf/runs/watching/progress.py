"""Progress of a run on the console: a bar on a terminal and in a notebook, a line per epoch elsewhere."""

from __future__ import annotations

import datetime
from typing import Any

import tf_keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from dlth_tf import masking
from dlth_tf.console import standard_output
from dlth_tf.measures import ACCURACY, measure_in
from dlth_tf.methods import Phase
from dlth_tf.runs.watching.notebook_bar import NotebookBar

BAR_WIDTH = 20  # columns of the terminal
TIME_WIDTH = len("0:00:00")
LEAST_WIDTH_FOR_BAR = 72  # on a narrower terminal the numbers are worth more than the bar


class ProgressLine(tf_keras.callbacks.Callback):
    """Prints phase, epoch, accuracy or error, penalty and time left on one line, as far as the width allows.

    Args:
      phase: The phase.
      epochs: Its number of epochs.
      verbosity: 0 prints nothing; 1 shows a bar on a terminal and in a notebook, and prints lines elsewhere; 2 prints
        lines.
      console: Where to print; standard output by default. Colors appear only on terminals, and not if NO_COLOR is set.
    """

    _supports_tf_logs = True  # no copy of the metrics to the host at every step

    def __init__(self, phase: Phase, epochs: int, verbosity: int, console: Console | None = None) -> None:
        super().__init__()
        self.phase = phase
        self.epochs = epochs
        self.console = console or standard_output()
        self.bar = self._bar() if verbosity == 1 else None
        self.lines = verbosity > 0 and self.bar is None

    def _bar(self) -> Progress | NotebookBar | None:
        """Returns the bar, or None where no line can be updated."""
        if self.console.is_jupyter:
            return NotebookBar()
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            return None
        columns: list[ProgressColumn | str] = [
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        if self.console.width >= LEAST_WIDTH_FOR_BAR:
            columns.insert(1, BarColumn(BAR_WIDTH))
        return Progress(*columns, TimeRemainingColumn(), console=self.console)

    def _note_width(self) -> int:
        """Columns that are left for the note; with a longer note rich would shorten everything else."""
        taken = [len(self.phase.name), 2 * len(str(self.phase.steps)) + 1, TIME_WIDTH]
        if self.console.width >= LEAST_WIDTH_FOR_BAR:
            taken.append(BAR_WIDTH)
        return self.console.width - sum(taken) - len(taken)  # one space next to each

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        if self.bar:
            note = first_that_fit([f"epoch 1/{self.epochs}"], self._note_width())
            self._task = self.bar.add_task(self.phase.name, total=self.phase.steps, note=note)
            self._before = 0
            self.bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts batches from the current step, which is inside an epoch if the run has been resumed there."""
        self._before = masking.steps_made(self.model)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar, if there is one (once per execution)."""
        if self.bar:
            self.bar.update(self._task, completed=self._before + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the metrics of the epoch."""
        parts = [f"epoch {epoch + 1}/{self.epochs}", f"loss {float(logs['loss']):.4f}"]
        measure = measure_in(logs, "test_{}")
        unit = "" if measure is ACCURACY else f"{measure.name} "
        names = {split: f"{split}_{measure.name}" for split in ("val", "test")}
        parts += [f"{split} {unit}{measure.text(logs[name])}" for split, name in names.items() if name in logs]
        parts += [f"penalty {logs['penalty']:.3g}"] if logs["penalty"] else []
        if self.lines:
            done = logs["seconds"]
            left = done / (epoch + 1) * (self.epochs - epoch - 1)
            ending = f"  {done:.1f} s" + (f", about {clock(left)} left" if left else "")
            self.console.print(f"{self.phase.name}: {'  '.join(parts)}{ending}", soft_wrap=True)
        if self.bar:
            self._before = min(self.phase.steps, (epoch + 1) * self.params["steps"])
            self.bar.update(self._task, completed=self._before, note=first_that_fit(parts, self._note_width()))

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the finished bar on the screen."""
        self.close()

    def close(self) -> None:
        """Stops the bar, so that later output starts on a new line."""
        if self.bar:
            self.bar.stop()


def first_that_fit(parts: list[str], width: int) -> str:
    """Joins as many of the first parts as fit into `width` columns, with two spaces between them.

    >>> first_that_fit(["epoch 1/9", "loss 0.5000", "val 90.00%"], 25)
    'epoch 1/9  loss 0.5000'
    """
    while parts and len("  ".join(parts)) > width:
        parts = parts[:-1]
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Formats hours, minutes and seconds as the bar does.

    >>> clock(75.4)
    '0:01:15'
    """
    return str(datetime.timedelta(seconds=round(seconds)))
