"""A `fit` that callbacks of this package take part in: what they change ends with it. The same in both Kerases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

SESSION = "make_train_function"  # the name under which `fit` asks for the training step, once when it begins
HELD = "_dlth_tf_held"


class FitSession:
    """Undoes what callbacks have changed when their `fit` ends, or, if it was interrupted, when the next one begins.

    Keras does not call `on_train_end` of a `fit` that ends with an exception or a KeyboardInterrupt. But every `fit`
    first calls `model.make_train_function()`, and that is this object while a session lasts.

    Args:
      model: The model that is trained.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.undo = contextlib.ExitStack()
        self._own = vars(model).get(SESSION)
        vars(model)[SESSION] = self

    def __call__(self, force: bool = False) -> Any:
        """Ends the session, and returns the model's own training step; a call by force only makes the step anew."""
        if not force and not vars(self.model).get(HELD):
            self.end()
        make = self._own or type(self.model).make_train_function.__get__(self.model)
        return make(force)

    def end(self) -> None:
        """Undoes everything; the model is as it was before."""
        if vars(self.model).get(SESSION) is self:
            del vars(self.model)[SESSION]
            if self._own is not None:
                vars(self.model)[SESSION] = self._own
        self.undo.close()


def in_fit(model: Any) -> bool:
    """Returns whether a session lasts."""
    return isinstance(vars(model).get(SESSION), FitSession)


def begin_fit(model: Any) -> contextlib.ExitStack:
    """Returns the stack of what is undone at the end of the present `fit`, and begins a session if there is none."""
    session = vars(model).get(SESSION)
    return (session if isinstance(session, FitSession) else FitSession(model)).undo


def end_fit(model: Any) -> None:
    """Ends the session of the present `fit`, if there is one."""
    session = vars(model).get(SESSION)
    if isinstance(session, FitSession):
        session.end()


@contextlib.contextmanager
def several_fits(model: Any) -> Iterator[None]:
    """Lets several calls of `fit` be one session: its callbacks begin before the first and end after the last."""
    vars(model)[HELD] = True
    try:
        yield
    finally:
        del vars(model)[HELD]


def made_train_function(model: Any) -> Any:
    """Makes the model's training step anew, and returns it."""
    make = vars(model).get(SESSION) or type(model).make_train_function.__get__(model)
    make(force=True)
    return model.train_function
