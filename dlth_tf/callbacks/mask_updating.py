"""Base class for callbacks that update masks during `fit`."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf import masking
from dlth_tf.callbacks.part_of_fit import PartOfFit
from dlth_tf.callbacks.shortfall import CHANGED, warn_if_short
from dlth_tf.callbacks.step_counting import StepCounting


class MaskUpdating(PartOfFit, StepCounting, abc.ABC):
    """Installs mask updates on the optimizer's step for one `fit`; each epoch ends with the ticket that the masks keep.

    Subclasses provide the updates. Steps that the user gives are optimizer steps, counted from a fresh optimizer; what
    is derived from the length of the `fit` counts from its first step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._hook: Any = None
        self._first_epoch = 0
        self._start = 0

    def state_values(self) -> Mapping[str, ArrayLike]:
        """Returns where this `fit` starts: an epoch and an optimizer step."""
        return {"first_epoch": np.int64(0), "start": np.int64(self.iterations())}

    @abc.abstractmethod
    def updates(self) -> Sequence[masking.MaskUpdate]:
        """Returns one update for every weight whose mask will change; called in the model's strategy scope."""

    @abc.abstractmethod
    def wanted(self) -> Mapping[str, int]:
        """Returns how many weights of each tensor may be left at the end."""

    def missed(self) -> str:
        """Returns what was observed, and a remedy, where too many weights are left when training ends."""
        return CHANGED

    def end_of_fit(self) -> int | None:
        """Returns the optimizer step at which this `fit` ends, or None if the length of the data is unknown."""
        steps = self.params.get("steps")
        if steps is None:
            return None
        return self._start + steps * (self.params["epochs"] - self._first_epoch) // masking.batches_per_step(self.model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Builds the updates and installs them."""
        masking.inner_optimizer(self.model)  # refuses an optimizer that cannot carry the hook, before anything changes
        super().on_train_begin(logs)
        self._set_up()

    def _set_up(self) -> None:
        if self.state is not None:
            self._first_epoch = int(self.state["first_epoch"])
            self._start = int(self.state["start"])
        with masking.scope(self.model):
            updates = self.updates()
        self._hook = self.install(updates=updates)

    def on_first_epoch(self, epoch: int) -> None:
        """Plans anew, if training starts elsewhere than at epoch 0 of an optimizer of this age."""
        self.check_still_installed(self._hook)
        if self.state is None or (not self.restored and epoch == 0):
            return
        if not self.restored:
            self.state["first_epoch"] = epoch
        self._set_up()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises BadInput if a later callback removed the updates."""
        super().on_epoch_begin(epoch, logs)
        self.check_still_installed(self._hook)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the ticket to what the masks keep."""
        super().on_epoch_end(epoch, logs)
        masking.choose_what_is_kept(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook."""
        self._steps = self.iterations()
        masking.uninstall(self.model)
        masking.choose_what_is_kept(self.model)
        super().on_train_end(logs)

    def on_fit_end(self) -> None:
        """Checks that every removed weight is zero, and that as many are removed as were asked for."""
        masking.accept_restored(self.model)
        masking.choose_what_is_kept(self.model)
        masking.check_removed(self.model)
        warn_if_short(self, self.wanted(), self.missed())
