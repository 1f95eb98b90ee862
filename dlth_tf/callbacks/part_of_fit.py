"""PartOfFit: base of the callbacks that change how a model is trained, for one `fit`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback
from dlth_tf.callbacks.fit_end import join_fit_end, list_that_calls
from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.masking.world import of
from dlth_tf.onednn import hint_at_onednn


def _puts_back(method: Callable[..., None]) -> Callable[..., None]:
    """Lets an error before the first step of a `fit` leave the model as it was."""

    @functools.wraps(method)
    def puts_back(self: PartOfFit, *args: Any, **kwargs: Any) -> None:
        noted = masking.noted_before(self.model)
        try:
            method(self, *args, **kwargs)
        except BaseException:
            noted = noted or masking.noted_before(self.model)
            if noted:
                masking.put_back(self.model, noted)
            raise

    return puts_back


class PartOfFit(Callback):
    """Begins and ends with its `fit`, however that ends, and resumes with it under BackupAndRestore.

    - What it installs acts in its own `fit` only: a later one without it is plain, also after an interruption.
    - Its state is part of the model's checkpoints while the `fit` lasts. A restored `fit` is known at its first epoch,
      wherever BackupAndRestore stands in the list.
    - A `fit` that it refuses before the first step leaves weights, masks and tickets as they were, also those that
      callbacks before it have changed.
    - Its last word, `on_fit_end`, comes after `on_train_end` of all callbacks.
    - A model has one hook at a time. A callback that only keeps removed weights at zero leaves it to an `exclusive` one
      after it, whose hook does that too; any other pair is refused with both names.
    """

    exclusive = True  # whether no other exclusive callback can take part in the same `fit`

    def __init__(self) -> None:
        super().__init__()
        self.state: masking.FitState | None = None
        self._begun = False
        self._alone = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("on_train_begin", "on_epoch_begin"):
            setattr(cls, name, _puts_back(getattr(cls, name)))

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
        several = list_that_calls(self)
        masking.begin_fit(self.model, several)  # before the check: it ends what another list has left
        self._check_pair()
        if of(self.model).IN_TENSORFLOW:
            hint_at_onednn(self.model)
        self._begun = False
        self._alone = several is None
        if several is not None:
            join_fit_end(self, several)
        masking.note_before(self.model)
        values = self.state_values()
        self.state = None if values is None else masking.fit_state(self.model, type(self).__name__, values)

    def install(self, penalty: PenaltySchedule | None = None, **options: Any) -> Any:
        """Puts the hook of this callback on the model's optimizers (see `masking.install`), and returns it."""
        hook = masking.install(self.model, penalty, **options)
        hook.installed_by = self
        return hook

    def _check_pair(self) -> None:
        """Checks that this callback may take the hook over.

        Raises:
          BadInput: If a callback before it in the list needs the hook.
        """
        other = installed_by(self.model)
        if other is None or other is self or not other.exclusive:
            return
        masking.end_fit(self.model)
        mine, first = type(self).__name__, type(other).__name__
        if not self.exclusive:
            raise BadInput("callbacks", mine, f"must come before {first} in the list")
        allowed = (
            "cannot be combined in one fit, since each changes the optimizer's step in its own way: use one of them"
        )
        raise BadInput("callbacks", f"{first} and {mine}", allowed)

    def check_still_installed(self, hook: Any) -> None:
        """Checks that the hook of this callback is still on the model's optimizers.

        Raises:
          BadInput: If it is not.
        """
        if masking.installed(self.model) is hook:
            return
        other = installed_by(self.model)
        masking.end_fit(self.model)
        took = f"{type(other).__name__} has replaced" if other else "something has replaced or removed"
        allowed = f"needs its hook on the optimizer until fit ends, which {took} since it began"
        raise BadInput("callbacks", type(self).__name__, allowed)

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
        if self._alone:
            masking.forget_before(self.model)

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


def installed_by(model: Any) -> PartOfFit | None:
    """Returns the callback whose hook is on the model's optimizers; None if there is no hook, or none of a callback."""
    return getattr(masking.installed(model), "installed_by", None)
