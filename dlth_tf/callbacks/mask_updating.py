"""Base class for callbacks that update masks during `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.step_counting import StepCounting
from dlth_tf.errors import BadInput
from dlth_tf.masking import MaskUpdate


class MaskUpdating(StepCounting):
    """Installs mask updates on the optimizer's step for one `fit`; each epoch ends with the ticket that the masks keep.

    Subclasses provide the updates. Their schedules are functions of `optimizer.iterations`, so compile the model again
    before each `fit`, unless it resumes an interrupted one.
    """

    def updates(self) -> Sequence[MaskUpdate]:
        """Returns one update for every weight whose mask will change; called in the model's strategy scope."""
        raise NotImplementedError  # every subclass defines it

    def total_steps(self) -> int | None:
        """Returns the steps of this `fit`, or None if the length of the data is unknown."""
        steps = self.params.get("steps")
        return None if steps is None else steps * self.params["epochs"]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Builds the updates and installs them."""
        masking.inner_optimizer(self.model)  # refuses an optimizer that cannot carry the hook, before anything changes
        with masking.scope(self.model):
            updates = self.updates()
        self._hook = masking.install(self.model, updates=updates)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises BadInput if a later callback removed the updates."""
        super().on_epoch_begin(epoch, logs)
        if masking.installed(self.model) is not self._hook:
            masking.uninstall(self.model)
            raise BadInput("callbacks", type(self).__name__, "must come after RandomMask and KeepMask in the list")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the ticket to what the masks keep."""
        super().on_epoch_end(epoch, logs)
        masking.choose_what_is_kept(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.choose_what_is_kept(self.model)
        masking.check_removed(self.model)


def positive(name: str, value: Any) -> int:
    """Returns `value` if it is a whole number above 0.

    Raises:
      BadInput: If it is not.
    """
    if type(value) is not int or value < 1:
        raise BadInput(name, value, "must be a whole number above 0")
    return value
