"""FitEnd: what callbacks of this package do after all callbacks of a `fit` have ended."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback


class Ending(Protocol):
    """A callback with something to do after all others."""

    model: Any
    exclusive: bool  # whether it changes masks or weights; otherwise it only checks that they were kept

    def on_fit_end(self) -> None:
        """Called after `on_train_end` of every callback."""


class FitEnd(Callback):
    """Comes last in the list of a `fit`'s callbacks, and calls `on_fit_end` of those that joined it.

    Callbacks after ours may change the weights in their `on_train_end`: EarlyStopping restores those of its best epoch
    there. Only what holds after that is what the user gets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[Ending] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Lets nothing be put back from here on: no callback has refused the `fit`, and its first step follows."""
        for callback in self.joined:
            masking.forget_before(callback.model)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the callbacks that joined, and undoes what they changed for this `fit`.

        Those that change masks end first: they let masks follow weights that another callback has restored.
        """
        joined, self.joined = sorted(self.joined, key=lambda each: not each.exclusive), []
        try:
            for callback in joined:
                callback.on_fit_end()
        finally:
            for callback in joined:
                masking.end_fit(callback.model)


def list_that_calls(callback: Ending) -> Any:
    """Returns the list of callbacks that calls `callback` now; None if it is called by hand.

    Keras gives a callback no access to the others, so the list is looked for among the callers.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        callbacks = getattr(caller, "callbacks", None)
        if isinstance(callbacks, list) and any(each is callback for each in callbacks):
            return caller
        frame = frame.f_back
    return None


def join_fit_end(callback: Ending, several: Any) -> None:
    """Has `callback.on_fit_end` called after the last callback of the list that calls it."""
    ends = [each for each in several.callbacks if isinstance(each, FitEnd)]
    if not ends:
        ends = [FitEnd()]
        several.callbacks.append(ends[0])
    if not any(each is callback for each in ends[0].joined):
        ends[0].joined.append(callback)
