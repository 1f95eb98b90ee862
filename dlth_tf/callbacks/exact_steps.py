"""ExactSteps: ends `fit` after an exact number of optimizer steps, in the middle of an epoch if need be."""

from __future__ import annotations

from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.step_counting import StepCounting
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import whole_number


class ExactSteps(StepCounting):
    """Ends `fit` once the optimizer has made `steps` steps; the last execution is shortened to make the count exact.

    Args:
      steps: Optimizer steps, counted from a fresh optimizer.

    Raises:
      BadInput: At the start of `fit`, if the optimizer has made them already: Keras always makes one more step.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = whole_number("steps", steps, least=0)
        self._done = 0
        self._one_a_batch = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts counting at the optimizer's present step."""
        super().on_train_begin(logs)
        self._note_execution()
        self._one_a_batch = True
        self._done = self.iterations()
        if self._done >= self.steps:
            observed = f"has made all {self.steps} steps already: there is nothing to fit"
            raise BadInput("optimizer", f"{self._done} steps old", observed)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts counting the batches of the epoch."""
        super().on_epoch_begin(epoch, logs)
        self._done = self._steps_before_epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Shortens an execution that would go beyond the last step."""
        left = self.steps - self._done
        if left < self._execution and left < masking.steps_per_execution(
            self.model
        ):  # Keras may have shortened it more
            self._set_execution(max(1, left))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts on the host, and near the end by the optimizer (`batch` is too large where an execution ended early).

        A training step of the user's own may make none or several optimizer steps for a batch; the first batch of an
        epoch shows it.
        """
        if self._last_batch < 0:
            self._one_a_batch &= self.iterations() - self._steps_before_epoch == batch + 1
        if not self._one_a_batch or self.steps - self._done <= self._execution:
            self._done = self.iterations()
        else:
            self._done += batch - self._last_batch
        super().on_train_batch_end(batch, logs)
        if self._done >= self.steps:
            self._check_not_beyond(self.steps, "the last")
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Undoes the extra step that Keras counts at the end of data of unknown length."""
        super().on_epoch_end(epoch, logs)
        if self.params.get("steps") is None:
            self._done = self.iterations()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the model's own steps_per_execution."""
        self._set_execution(self._execution)
        super().on_train_end(logs)
