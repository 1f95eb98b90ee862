"""Recorded learning rates as a schedule, and a callback that records a replay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback

State = dict[str, np.ndarray]


class TableRate(tf_keras.optimizers.schedules.LearningRateSchedule):
    """The recorded learning rate of every step."""

    def __init__(self, rates):
        self.rates = rates

    def __call__(self, step):
        return tf.gather(tf.constant(self.rates, tf_keras.backend.floatx()), step)


class Recorder(Callback):
    """Records losses, states and velocities of every step; before RSTPenalty in the list, it sees the end unremoved.

    Args:
      state: Returns the present state of the network.
    """

    def __init__(self, state: Callable[[], State]) -> None:
        super().__init__()
        self.state = state
        self.losses: list[float] = []
        self.states: list[State] = []
        self.velocities: list[list[np.ndarray]] = []
        self.before_removal: State = {}

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        masking.steps_made(self.model)  # on JAX the model has its state from here on
        self.losses.append(float(logs["loss"]))
        self.states.append(self.state())
        self.velocities.append([np.array(v.numpy()) for v in getattr(self.model.optimizer, "velocities", [])])

    def on_train_end(self, logs=None):
        self.before_removal = self.state()
