"""State of callbacks that is part of a Keras 2 model's checkpoints while a `fit` lasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import ArrayLike

from dlth_tf.masking.fit_session import begin_fit

TRACKED = "dlth_tf_"  # first part of the names of callbacks' state among what the model tracks


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
        tracked = f"{TRACKED}{name}"
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


def prepare(model: tf_keras.Model) -> None:
    """Lets checkpoints that are read from here on restore the state of callbacks: that of one before is forgotten."""
    waiting = model._deferred_dependencies
    for name in [name for name in waiting if name.startswith(TRACKED)]:
        for position in waiting.pop(name):
            position.checkpoint.expect_partial = True  # else TensorFlow warns of values that nothing took


def _forget(model: tf_keras.Model, name: str) -> None:
    if any(reference.name == name for reference in model._self_unconditional_checkpoint_dependencies):
        model._delete_tracking(name)
