"""PartOfFit: base of the callbacks that change how a model is trained, for one `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback
from dlth_tf.callbacks.fit_end import join_fit_end
from dlth_tf.masking.world import of
from dlth_tf.onednn import hint_at_onednn


class PartOfFit(Callback):
    """Begins and ends with its `fit`, however that ends, and resumes with it under BackupAndRestore.

    - What it installs acts in its own `fit` only: a later one without it is plain, also after an interruption.
    - Its state is part of the model's checkpoints while the `fit` lasts. A restored `fit` is known at its first epoch,
      wherever BackupAndRestore stands in the list.
    - Its last word, `on_fit_end`, comes after `on_train_end` of all callbacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state: masking.FitState | None = None
        self._begun = False
        self._alone = False

    def state_values(self) -> Mapping[str, ArrayLike] | None:
        """Returns the initial values of the callback's state, by name; None if it does not matter what it was."""
        return {}

    def set_model(self, model: Any) -> None:
        """Receives the model, which can restore this callback's state from here on."""
        super().set_model(model)
        masking.prepare(model)

    @property
    def restored(self) -> bool:
        """Returns whether this `fit` goes on with an interrupted one, from a checkpoint of BackupAndRestore."""
        return self.state is not None and self.state.restored

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins the state of this `fit`."""
        super().on_train_begin(logs)
        if of(self.model).IN_TENSORFLOW:
            hint_at_onednn(self.model)
        self._begun = False
        self._alone = not join_fit_end(self)
        masking.begin_fit(self.model)
        values = self.state_values()
        self.state = None if values is None else masking.fit_state(self.model, type(self).__name__, values)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Calls `on_first_epoch` once."""
        super().on_epoch_begin(epoch, logs)
        if not self._begun:
            self._begun = True
            try:
                self.on_first_epoch(epoch)
            except BaseException:
                masking.end_fit(self.model)
                raise
            if self.state is not None:
                self.state.begin()

    def on_first_epoch(self, epoch: int) -> None:
        """Called before the first step, when `initial_epoch` is known and an interrupted `fit` has been restored."""

    def on_train_end(self, logs: Any = None) -> None:
        """Calls `on_fit_end`, if no list of callbacks does."""
        super().on_train_end(logs)
        if self._alone:
            try:
                self.on_fit_end()
            finally:
                masking.end_fit(self.model)

    def on_fit_end(self) -> None:
        """Called after `on_train_end` of all callbacks."""
