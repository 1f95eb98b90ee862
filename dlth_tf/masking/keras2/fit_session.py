"""A `fit` of a Keras 2 model that callbacks of this package take part in: what they change ends with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import ArrayLike

SESSION = "make_train_function"  # the name under which `fit` asks for the training step, once when it begins
HELD = "_dlth_tf_held"


class FitSession:
    """Undoes what callbacks have changed when their `fit` ends, or, if it was interrupted, when the next one begins.

    Keras does not call `on_train_end` of a `fit` that ends with an exception or a KeyboardInterrupt. But every `fit`
    first calls `model.make_train_function()`, and that is this object while a session lasts.

    Args:
      model: The model that is trained.
    """

    def __init__(self, model: tf_keras.Model) -> None:
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


def in_fit(model: tf_keras.Model) -> bool:
    """Returns whether a session lasts."""
    return isinstance(vars(model).get(SESSION), FitSession)


def begin_fit(model: tf_keras.Model) -> contextlib.ExitStack:
    """Returns the stack of what is undone at the end of the present `fit`, and begins a session if there is none."""
    session = vars(model).get(SESSION)
    return (session if isinstance(session, FitSession) else FitSession(model)).undo


def end_fit(model: tf_keras.Model) -> None:
    """Ends the session of the present `fit`, if there is one."""
    session = vars(model).get(SESSION)
    if isinstance(session, FitSession):
        session.end()


@contextlib.contextmanager
def several_fits(model: tf_keras.Model) -> Iterator[None]:
    """Lets several calls of `fit` be one session: its callbacks begin before the first and end after the last."""
    vars(model)[HELD] = True
    try:
        yield
    finally:
        del vars(model)[HELD]


def made_train_function(model: tf_keras.Model) -> Any:
    """Makes the model's training step anew, and returns it."""
    make = vars(model).get(SESSION) or type(model).make_train_function.__get__(model)
    return make(force=True)


class FitState:
    """State of a callback that belongs to a `fit`: part of the model's checkpoints while the `fit` lasts.

    BackupAndRestore saves and restores it with the model, whether it comes before or after the callback in the list: a
    value that was restored before the state exists is taken over when the state begins.

    Args:
      model: The model that is trained.
      name: Name of the callback.
      values: Name -> value of each variable at the beginning, of any shape.
    """

    def __init__(self, model: tf_keras.Model, name: str, values: Mapping[str, ArrayLike]) -> None:
        values = {"begun": np.int64(0), **values}
        with model.distribute_strategy.scope():
            self._variables = {key: tf.Variable(value, trainable=False, name=key) for key, value in values.items()}
        numbered = {f"v{number}": variable for number, variable in enumerate(self._variables.values())}
        tracked = f"dlth_tf_{name}"
        model._track_trackable(tf.train.Checkpoint(**numbered), tracked, overwrite=True)
        begin_fit(model).callback(_forget, model, tracked)

    @property
    def restored(self) -> bool:
        """Returns whether the state comes from a checkpoint of an interrupted `fit`, or its first epoch has begun."""
        return bool(self._variables["begun"].numpy())

    def begin(self) -> None:
        """Notes that the first epoch has begun: a checkpoint from here on is one of this `fit`."""
        self._variables["begun"].assign(1)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._variables[name].numpy()

    def __setitem__(self, name: str, value: Any) -> None:
        self._variables[name].assign(value)

    def variable(self, name: str) -> tf.Variable:
        """Returns a variable of the state."""
        return self._variables[name]


def _forget(model: tf_keras.Model, name: str) -> None:
    if any(reference.name == name for reference in model._self_unconditional_checkpoint_dependencies):
        model._delete_tracking(name)
