"""What a run says while it trains: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import datetime
from typing import Any

import tf_keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from dlth_tf import masking
from dlth_tf.methods import Phase

BAR, TIME = 20, len("0:00:00")  # columns of the terminal
ROOM_FOR_A_BAR = 72  # below it the numbers are worth more


class ProgressLine(tf_keras.callbacks.Callback):
    """Tells phase, epoch, accuracy, penalty and time left, on one line of whatever width there is.

    Args:
      phase: what is trained.
      epochs: its number of epochs.
      verbosity: 0 silent; 1 a bar on a terminal and lines elsewhere; 2 lines.
      console: where to; standard output when not given. Colours come from it: only on terminals, and not where NO_COLOR is set.
    """

    _supports_tf_logs = True  # no copy of the metrics to the host at every step

    def __init__(self, phase: Phase, epochs: int, verbosity: int, console: Console | None = None) -> None:
        super().__init__()
        self.phase, self.epochs = phase, epochs
        self.console = console or Console(stderr=False, highlight=False)
        moving = self.console.is_terminal and not self.console.is_dumb_terminal
        self.lines = verbosity == 2 or (verbosity == 1 and not moving)
        self.bar = self._bar() if verbosity == 1 and moving else None

    def _bar(self) -> Progress:
        columns: list[ProgressColumn | str] = [
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        if self.console.width >= ROOM_FOR_A_BAR:
            columns.insert(1, BarColumn(BAR))
        return Progress(*columns, TimeRemainingColumn(), console=self.console)

    def _room(self) -> int:
        """Columns of the terminal that are left for the note; rich would shorten everything else to make more."""
        taken = [len(self.phase.name), 2 * len(str(self.phase.steps)) + 1, TIME]
        if self.console.width >= ROOM_FOR_A_BAR:
            taken.append(BAR)
        return self.console.width - sum(taken) - len(taken)  # a space beside each

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        if self.bar:
            note = first_that_fit([f"epoch 1/{self.epochs}"], self._room())
            self._task = self.bar.add_task(self.phase.name, total=self.phase.steps, note=note)
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
        parts = [f"epoch {epoch + 1}/{self.epochs}", f"loss {float(logs['loss']):.4f}"]
        parts += [f"val {logs['val_accuracy']:.2%}", f"test {logs['test_accuracy']:.2%}"]
        parts += [f"penalty {logs['penalty']:.3g}"] if logs["penalty"] else []
        if self.lines:
            done, left = logs["seconds"], logs["seconds"] / (epoch + 1) * (self.epochs - epoch - 1)
            ending = f"  {done:.1f} s" + (f", about {clock(left)} left" if left else "")
            self.console.print(f"{self.phase.name}: {'  '.join(parts)}{ending}", soft_wrap=True)
        if self.bar:
            self._before = min(self.phase.steps, (epoch + 1) * self.params["steps"])
            self.bar.update(self._task, completed=self._before, note=first_that_fit(parts, self._room()))

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the finished bar on the screen."""
        self.close()

    def close(self) -> None:
        """Takes the bar off, so that what comes after it prints clean."""
        if self.bar:
            self.bar.stop()


def first_that_fit(parts: list[str], room: int) -> str:
    """As many of the parts, from the first on, as `room` columns hold, two spaces between them.

    >>> first_that_fit(["epoch 1/9", "loss 0.5000", "val 90.00%"], 25)
    'epoch 1/9  loss 0.5000'
    """
    while parts and len("  ".join(parts)) > room:
        parts = parts[:-1]
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as the bar shows them.

    >>> clock(75.4)
    '0:01:15'
    """
    return str(datetime.timedelta(seconds=round(seconds)))
