"""CheckpointCallback: writes checkpoints while a phase trains, and ends it when a signal or a number that is none asks for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras

from dlth_tf import masking, stopping
from dlth_tf.runs.devices.replicas import agreed


class NotFinite(RuntimeError):
    """Loss or weights are not finite numbers any more."""


class CheckpointCallback(tf_keras.callbacks.Callback):
    """Saves when it is time; must be the last of a phase's callbacks.

    A checkpoint that falls on an epoch's end is written after the epoch's row, so no checkpoint lies between the two.

    Args:
      phase: its name.
      steps: of the phase.
      per_epoch: steps of an epoch.
      due: whether it is time, given the steps since the last checkpoint; also asked at the end of every epoch.
      save: writes a checkpoint of the run as it is.

    Raises:
      NotFinite: at once when the loss is not a finite number, and when a weight is not at an epoch's end or a checkpoint, or
        the loss on other data is not at an epoch's end.
      Stopped: after the checkpoint that a signal asked for.
    """

    _supports_tf_logs = True

    def __init__(
        self, phase: str, steps: int, per_epoch: int, due: Callable[[int], bool], save: Callable[[], None]
    ) -> None:
        super().__init__()
        self.phase, self.steps, self.per_epoch, self.due, self.save = phase, steps, per_epoch, due, save

    def step(self) -> int:
        """Steps of this phase that are done."""
        return int(masking.inner_optimizer(self.model).iterations.numpy())

    def on_train_begin(self, logs: Any = None) -> None:
        """Nothing is saved of this phase yet."""
        self.saved_at = self.before = 0

    def go_on(self) -> int:
        """The step at which a checkpoint, which is restored, lets the phase go on."""
        self.saved_at = self.before = self.step()
        return self.saved_at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the loss; saves in the middle of an epoch."""
        step = self.step()
        if logs and not math.isfinite(float(logs["loss"])):
            raise NotFinite(self._sentence(f"the loss is {float(logs['loss'])}", step))
        self.before = step
        if step % self.per_epoch and step < self.steps:
            self._save_if_due(step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the weights and at what was evaluated; saves after the epoch's row."""
        if first_not_finite(self.model):
            raise NotFinite(self._sentence("a weight is not a finite number", self.step()))
        for name in ("val_loss", "test_loss"):
            if logs and not math.isfinite(logs.get(name, 0.0)):
                raise NotFinite(self._sentence(f"{name} is {logs[name]}", self.step()))
        self._save_if_due(self.step())

    def _save_if_due(self, step: int) -> None:
        stop, due = agreed(stopping.requested(), self.due(step - self.saved_at))
        if not (stop or due):
            return
        if first_not_finite(self.model):
            raise NotFinite(self._sentence("a weight is not a finite number", step))
        self.save()
        self.saved_at = step
        if stop:
            raise stopping.Stopped(f"stopped after a checkpoint in phase {self.phase}, step {step} of {self.steps}")

    def _sentence(self, what: str, step: int) -> str:
        where = f"step {step}" if step - self.before <= 1 else f"one of the steps {self.before + 1} to {step}"
        bad = first_not_finite(self.model)
        tensor = f"; the first tensor that is not finite: {bad}" if bad else ""
        return f"{what} in phase {self.phase}, {where}{tensor}: a smaller learning rate may help, or --on_nan=rollback"


def first_not_finite(model: tf_keras.Model) -> str | None:
    """The name of the first weight that holds a number that is not finite, or None."""
    for name, variable in masking.named_weights(model).items():
        if not np.isfinite(variable.numpy()).all():
            return name
    return None


class CheckpointInterval:
    """Says when the next checkpoint is due.

    Args:
      count: of `unit`.
      unit: "it" (steps), "ep" (epochs) or "min".
    """

    def __init__(self, count: int, unit: str) -> None:
        self.count, self.unit, self.last = count, unit, time.monotonic()

    def due(self, steps: int, per_epoch: int) -> bool:
        """Whether it is time, `steps` of a phase after the last checkpoint."""
        if self.unit == "min":
            return self.due_between_phases()
        return steps >= self.count * (per_epoch if self.unit == "ep" else 1)

    def due_between_phases(self) -> bool:
        """Whether it is time where no steps are counted: only minutes can be over."""
        return self.unit == "min" and time.monotonic() - self.last >= 60 * self.count

    def saved(self) -> None:
        """A checkpoint was written just now."""
        self.last = time.monotonic()
