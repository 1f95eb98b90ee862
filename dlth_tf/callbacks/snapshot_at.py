"""SnapshotAt: calls a function after an exact number of optimizer steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlth_tf.callbacks.step_counting import StepCounting
from dlth_tf.plain_numbers import whole_number


class SnapshotAt(StepCounting):
    """Calls `take` once, when the optimizer has made `step` steps (the state that rewinding restores).

    Executions of several steps are shortened so that one ends exactly at that step.

    Args:
      step: Optimizer steps, counted from a fresh optimizer, at least 1.
      take: Function without arguments, called between two steps.
    """

    def __init__(self, step: int, take: Callable[[], None]) -> None:
        super().__init__()
        self.step = whole_number("step", step, least=0)
        self.take = take
        self._taken = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Notes the model's own steps_per_execution."""
        self._note_execution()

    def saved_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns whether the snapshot was taken; the snapshot itself belongs to the caller."""
        return {"taken": self._taken}, {}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Restores what `saved_state` returned."""
        self._taken = bool(meta["taken"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shortens the first execution if the step falls into it."""
        super().on_epoch_begin(epoch, logs)
        self._aim()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Takes the snapshot at its step, and shortens the execution before it."""
        super().on_train_batch_end(batch, logs)
        if not self._taken:
            self._aim()

    def _aim(self) -> None:
        left = self.step - self.iterations()
        if left <= 0 and not self._taken:
            self._check_not_beyond(self.step, "the one to rewind to")
            self._taken = True
            self.take()
        self._set_execution(left if left > 0 else self._execution)
