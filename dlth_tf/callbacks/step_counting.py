"""StepCounting: base of the callbacks that count optimizer steps or stop executions at an exact step."""

from __future__ import annotations

from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback
from dlth_tf.errors import BadInput


class StepCounting(Callback):
    """Makes `optimizer.iterations` count real steps only, and shortens executions on request.

    Where the length of the data is unknown, Keras runs the step once more to find the end of the data, and counts it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._execution = 1  # the model's own steps_per_execution
        self._changes = True  # whether an execution can be shortened
        self._last_batch = -1
        self._steps_before_epoch = 0
        self._gradients_after_batch = 0

    def iterations(self) -> int:
        """Returns the number of steps that the optimizer has made."""
        return masking.steps_made(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts counting the batches of the epoch."""
        super().on_epoch_begin(epoch, logs)
        self._last_batch = -1
        self._steps_before_epoch = self.iterations()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Notes the number of the last batch, and the count after it where Keras looks for the end of the data then."""
        self._last_batch = batch
        if self.params.get("steps") is None:
            self._gradients_after_batch = masking.gradients_made(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Undoes the gradients that Keras counts, but does not compute, at the end of data of unknown length."""
        if self.params.get("steps") is None and self._last_batch >= 0:
            masking.uncount_gradients(self.model, masking.gradients_made(self.model) - self._gradients_after_batch)

    def _note_execution(self) -> None:
        """Notes the model's own steps_per_execution; call it in `on_train_begin`."""
        self._execution = masking.steps_per_execution(self.model)
        self._changes = masking.execution_changes(self.model)
        masking.begin_fit(self.model).callback(self._set_execution, self._execution)

    def _check_not_beyond(self, step: int, what: str) -> None:
        """Checks that no execution has gone beyond a step in which one was to end.

        Raises:
          BadInput: If one has: it could not be shortened, and the length of the data was not known before.
        """
        made = self.iterations()
        if self._execution > 1 and not self._changes and made > step:
            masking.end_fit(self.model)
            allowed = f"lets no execution end at step {step}, {what} (one ended at step {made}): use 1"
            raise BadInput("steps_per_execution", self._execution, allowed)

    def _set_execution(self, steps: int) -> None:
        """Lets the next execution make at most `steps` steps, where executions can be shortened."""
        if self._execution > 1 and self._changes:
            masking.set_steps_per_execution(self.model, min(steps, self._execution))
