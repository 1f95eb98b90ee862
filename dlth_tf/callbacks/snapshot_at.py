"""SnapshotAt: calls a function after an exact number of optimizer steps, in the middle of an execution if need be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras

from dlth_tf import masking


class SnapshotAt(tf_keras.callbacks.Callback):
    """Calls `take` once, when the optimizer has made `step` steps (what rewinding goes back to).

    Executions of several steps are shortened so that one ends exactly there.

    Args:
      step: optimizer steps, counted from a fresh optimizer, at least 1.
      take: called without arguments between two steps.
    """

    _supports_tf_logs = True  # no copy of the metrics to the host at every step

    def __init__(self, step: int, take: Callable[[], None]) -> None:
        super().__init__()
        self.step, self.take = step, take
        self._taken, self._execution = False, 1

    def on_train_begin(self, logs: Any = None) -> None:
        """Remembers the model's own steps_per_execution."""
        counter = self.model._steps_per_execution
        self._execution = 1 if counter is None else int(counter.numpy())

    def saved_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Whether the snapshot was taken; the snapshot itself is its taker's."""
        return {"taken": self._taken}, {}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Goes on as it was when `saved_state` was called."""
        self._taken = bool(meta["taken"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Aims at the step."""
        self._aim()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Takes the snapshot if this was the step, and aims at it if not."""
        if not self._taken:
            self._aim()

    def _aim(self) -> None:
        left = self.step - int(masking.inner_optimizer(self.model).iterations.numpy())
        if left <= 0 and not self._taken:
            self._taken = True
            self.take()
        if self._execution > 1:
            # Read by Keras before the next execution; here, between two, is where it can be changed.
            self.model._steps_per_execution.assign(left if 0 < left < self._execution else self._execution)
