"""A `fit` that callbacks of this package take part in: what they change ends with it. The same in both Kerases."""

from __future__ import annotations

import contextlib
import inspect
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

SESSION = "make_train_function"  # the name under which `fit` asks for the training step, once when it begins
HELD = "_dlth_tf_held"


class FitSession:
    """Undoes what callbacks have changed when their `fit` ends, or, if it was interrupted, when the next one begins.

    Keras does not call `on_train_end` of a `fit` that ends with an exception or a KeyboardInterrupt. But every `fit`
    first calls `model.make_train_function()`, and that is this object while a session lasts. `train_on_batch` calls it
    for every batch: a list of callbacks around that is a `fit` of its own.

    Args:
      model: The model that is trained.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.undo = contextlib.ExitStack()
        self._in_fit = _fits(model)
        self._callbacks: weakref.ref[Any] | None = None
        self._own = vars(model).get(SESSION)
        vars(model)[SESSION] = self

    def __call__(self, force: bool = False) -> Any:
        """Returns the model's own training step, and ends a session that is over; force only makes the step anew."""
        if not force and not vars(self.model).get(HELD) and (_calls_directly(self.model) or self.over()):
            self.end()
        make = self._own or type(self.model).make_train_function.__get__(self.model)
        return make(force)

    def over(self) -> bool:
        """Returns whether the `fit` was interrupted: it is not among the callers, or its list of callbacks is gone."""
        if self._in_fit:
            return not _fits(self.model)
        return self._callbacks is not None and self._callbacks() is None

    def join(self, callbacks: Any) -> bool:
        """Returns whether the session is that of a list of callbacks; one that began without a list is, from now on."""
        if self._callbacks is None and callbacks is not None:
            self._callbacks = weakref.ref(callbacks)
        return self._callbacks is None or callbacks is None or self._callbacks() is callbacks

    def end(self) -> None:
        """Undoes everything; the model is as it was before."""
        if vars(self.model).get(SESSION) is self:
            del vars(self.model)[SESSION]
            if self._own is not None:
                vars(self.model)[SESSION] = self._own
        self.undo.close()


def _is_fit(frame: FrameType, model: Any) -> bool:
    return frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model


def _calls_directly(model: Any) -> bool:
    """Returns whether `model.fit` has called the function that calls this one."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    return frame is not None and _is_fit(frame, model)


def _fits(model: Any) -> bool:
    """Returns whether `model.fit` is among the callers."""
    frame = inspect.currentframe()
    while frame is not None and not _is_fit(frame, model):
        frame = frame.f_back
    return frame is not None


def in_fit(model: Any) -> bool:
    """Returns whether a session lasts."""
    return isinstance(vars(model).get(SESSION), FitSession)


def begin_fit(model: Any, callbacks: Any = None) -> contextlib.ExitStack:
    """Returns the stack of what is undone at the end of the present `fit`, and begins a session if there is none.

    Args:
      model: The model that is trained.
      callbacks: The list that calls the callbacks, if it is known; a session of another list is over.
    """
    session = vars(model)[SESSION] if in_fit(model) else FitSession(model)
    joined = session.join(callbacks)
    if not vars(model).get(HELD) and (session.over() or not joined):
        session.end()
        session = FitSession(model)
        session.join(callbacks)
    return session.undo


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
