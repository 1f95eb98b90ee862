"""CheckpointCallback: writes checkpoints during a phase, and stops it on a signal or a non-finite loss or weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras

from dlth_tf import masking, stopping
from dlth_tf.methods import Phase
from dlth_tf.runs.checkpointing.manager import CheckpointManager
from dlth_tf.runs.devices.replicas import agreed
from dlth_tf.runs.watching.weight_statistics import all_finite


class NotFinite(RuntimeError):
    """The loss or a weight is not finite.

    Args:
      observed: What is not finite, and when.
      advice: What to try.
    """

    def __init__(self, observed: str, advice: str) -> None:
        super().__init__(observed, advice)
        self.observed = observed
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.observed}: {self.advice}"


class CheckpointCallback(tf_keras.callbacks.Callback):
    """Writes a checkpoint when one is due; must be the last of the callbacks of a phase.

    A checkpoint at the end of an epoch is written after the history row of the epoch, so no checkpoint separates the
    two.

    Args:
      phase: The phase.
      steps_per_epoch: Optimizer steps of one epoch.
      manager: Tells when a checkpoint is due, and writes it.
      callbacks: The callbacks of the phase, whose state is part of a checkpoint.

    Raises:
      NotFinite: If the loss is not finite after a step; if a weight is not finite at the end of an epoch or at a
        checkpoint; or if the validation or test loss is not finite at the end of an epoch.
      Stopped: After the checkpoint that a signal requested.
    """

    _supports_tf_logs = True

    def __init__(
        self, phase: Phase, steps_per_epoch: int, manager: CheckpointManager, callbacks: Sequence[Any] = ()
    ) -> None:
        super().__init__()
        self.phase = phase.name
        self.steps = phase.steps
        self.steps_per_epoch = steps_per_epoch
        self.manager = manager
        self.callbacks = callbacks
        self._all_finite: Callable[[], bool] | None = None

    def step(self) -> int:
        """Returns the number of completed steps of this phase."""
        return masking.steps_made(self.model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts with no saved step of this phase."""
        self.saved_at = self.before = 0

    def resume(self) -> None:
        """Notes that the restored step has been saved already."""
        self.saved_at = self.before = self.step()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Checks the loss; saves in the middle of an epoch."""
        step = self.step()
        if logs and not math.isfinite(float(logs["loss"])):
            raise self._error(f"the loss is {float(logs['loss'])}", step)
        self.before = step
        if step % self.steps_per_epoch and step < self.steps:
            self._save_if_due(step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Checks the weights and the evaluated losses; saves after the history row of the epoch."""
        if not self._weights_are_finite():
            raise self._error("a weight is not finite", self.step())
        for name in ("val_loss", "test_loss"):
            if logs and not math.isfinite(logs.get(name, 0.0)):
                raise self._error(f"{name} is {logs[name]}", self.step())
        self._save_if_due(self.step())

    def _weights_are_finite(self) -> bool:
        if self._all_finite is None:
            self._all_finite = all_finite(masking.named_weights(self.model).values())
        return self._all_finite()

    def _save_if_due(self, step: int) -> None:
        stop, due = agreed(stopping.requested(), self.manager.due(step - self.saved_at, self.steps_per_epoch))
        if not (stop or due):
            return
        if first_not_finite(self.model):
            raise self._error("a weight is not finite", step)
        self.manager.save(self.callbacks)
        self.saved_at = step
        if stop:
            raise stopping.Stopped(f"stopped after a checkpoint in phase {self.phase}, step {step} of {self.steps}")

    def _error(self, problem: str, step: int) -> NotFinite:
        where = f"step {step}" if step - self.before <= 1 else f"one of the steps {self.before + 1} to {step}"
        name = first_not_finite(self.model)
        tensor = f"; the first tensor that is not finite: {name}" if name else ""
        advice = "try a smaller learning rate, or --on_nan=rollback"
        if not name:
            advice += "; all weights are still finite, so look at the images and labels of that step too"
        return NotFinite(f"{problem} in phase {self.phase}, {where}{tensor}", advice)


def first_not_finite(model: tf_keras.Model) -> str | None:
    """Returns the name of the first weight with a value that is not finite, or None."""
    for name, variable in masking.named_weights(model).items():
        if not np.isfinite(variable.numpy()).all():
            return name
    return None
