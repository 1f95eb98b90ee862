"""ExactSteps: ends `fit` after an exact number of optimizer steps, in the middle of an epoch if need be."""

from __future__ import annotations

from typing import Any

import tf_keras

from dlth_tf import masking
from dlth_tf.errors import BadInput


class ExactSteps(tf_keras.callbacks.Callback):
    """Ends `fit` once the optimizer has made `steps` steps; the last execution is shortened to make the count exact.

    Args:
      steps: optimizer steps, counted from a fresh optimizer.

    Raises:
      BadInput: at the start of `fit`, when the optimizer has made them already: Keras always makes one step more.
    """

    _supports_tf_logs = True  # no copy of the metrics to the host at every step

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._done = self._execution = 1

    def iterations(self) -> int:
        """Steps that the optimizer has made."""
        return int(masking.inner_optimizer(self.model).iterations.numpy())

    def steps_per_execution(self) -> int:
        """The model's, as compiled."""
        if self.model.autotune_steps_per_execution:
            raise BadInput(
                "steps_per_execution",
                "auto",
                "must be a number here, since Keras would change it while the steps are counted",
            )
        counter = self.model._steps_per_execution
        return 1 if counter is None else int(counter.numpy())

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts counting where the optimizer stands."""
        self._execution, self._done = self.steps_per_execution(), self.iterations()
        self._last_batch = -1
        if self._done >= self.steps:
            raise BadInput(
                "optimizer",
                f"{self._done} steps old",
                f"has made all {self.steps} steps already: there is nothing to fit",
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Batch numbers start anew."""
        self._last_batch, self._before = -1, self.iterations()
        self._done = self._before

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Shortens the execution that would go beyond the last step."""
        left = self.steps - self._done
        if left < self._execution and left < self.steps_per_execution():  # Keras itself may have shortened it more
            self.model._steps_per_execution.assign(max(1, left))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts on the host; near the end the optimizer is asked (`batch` is too large where data or steps ended an execution)."""
        if self.steps - self._done <= self._execution:
            self._done = self.iterations()
        else:
            self._done += batch - self._last_batch
        self._last_batch = batch
        if self._done >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes back the step that Keras counts, without an update, when it finds the end of data of unknown length."""
        too_many = self.iterations() - self._before - (self._last_batch + 1)
        if self.params.get("steps") is None and too_many > 0:
            masking.inner_optimizer(self.model).iterations.assign_sub(too_many)
            self._done = self.iterations()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the model its own steps_per_execution back."""
        if self._execution > 1:
            self.model._steps_per_execution.assign(self._execution)


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`."""
    return next(divisor for divisor in range(min(number, most), 0, -1) if number % divisor == 0)
