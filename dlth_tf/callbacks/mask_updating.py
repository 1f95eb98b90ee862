"""What callbacks have in common whose mask changes inside `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras

from dlth_tf import masking
from dlth_tf.errors import BadInput
from dlth_tf.masking.changing import MaskUpdate


class CountedSteps(tf_keras.callbacks.Callback):
    """Has `optimizer.iterations` count real steps alone.

    Where the length of the data is not known, Keras runs the step once more to find their end, and counts it.
    """

    _supports_tf_logs = True  # no copy of the metrics to the host at every step

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts counting where the optimizer stands."""
        self._before, self._last_batch = int(masking.inner_optimizer(self.model).iterations.numpy()), -1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Notes the number of the last batch."""
        self._last_batch = batch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes back the step that was none."""
        iterations = masking.inner_optimizer(self.model).iterations
        too_many = int(iterations.numpy()) - self._before - (self._last_batch + 1)
        if self.params.get("steps") is None and too_many > 0:
            iterations.assign_sub(too_many)


class ChangingMask(CountedSteps):
    """Puts changes on the optimizer's step for one `fit`; at every epoch's end the ticket is what the masks keep.

    Subclasses say which changes. Their schedules are functions of `optimizer.iterations`, so compile the model anew
    before each `fit`, unless it goes on with an interrupted one.
    """

    def changes(self) -> Sequence[MaskUpdate]:
        """One change for every weight whose mask will change; called in the model's strategy scope."""
        raise NotImplementedError

    def total_steps(self) -> int | None:
        """The steps of this `fit`, if the length of the data is known."""
        steps = self.params.get("steps")
        return None if steps is None else steps * self.params["epochs"]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Makes the changes and installs them."""
        masking.inner_optimizer(self.model)  # refuses what cannot carry the hook, before anything changes
        with self.model.distribute_strategy.scope():
            changes = self.changes()
        self._hook = masking.install(self.model, changes=changes)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Refuses to go on when a later callback took the changes off."""
        super().on_epoch_begin(epoch, logs)
        if masking.installed(self.model) is not self._hook:
            masking.uninstall(self.model)
            raise BadInput("callbacks", type(self).__name__, "must come after RandomMask and KeepMask in the list")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """The ticket is what is kept now."""
        super().on_epoch_end(epoch, logs)
        masking.choose_what_is_kept(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the hook off and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.choose_what_is_kept(self.model)
        masking.check_removed(self.model)


def positive(name: str, value: Any) -> int:
    """`value` if it is a whole number above 0; BadInput otherwise."""
    if type(value) is not int or value < 1:
        raise BadInput(name, value, "must be a whole number above 0")
    return value
