"""Networks, training and records for the tests of EarlyBird."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

import dlth_tf as dlth
from dlth_tf import Ticket, masking
from tests.masking.networks import batches, compiled, largest_removed, weights

L = tf_keras.layers


def eager(model: tf_keras.Model, optimizer: Any = None) -> tf_keras.Model:
    """Compiles the model to run eagerly, which is faster for a few steps; test_early_bird_modes.py runs graphs."""
    return compiled(model, optimizer, run_eagerly=True)


def fit(model: tf_keras.Model, *callbacks: Any, epochs: int = 8) -> None:
    """Trains on three batches per epoch, and checks that no hook is left and removed weights are zero."""
    model.fit(batches(3), epochs=epochs, verbose=0, callbacks=list(callbacks))
    assert masking.installed(model) is None and largest_removed(model) == 0.0


def convolutional(norm: bool = True) -> tf_keras.Model:
    """Builds convolutions "a" and "b" of 4 and 6 filters, wrapped, with batch norms of gammas 1 to 4 and -6 to -1.

    Args:
      norm: Whether "a" has a batch norm.
    """
    tf_keras.utils.set_random_seed(1)
    x = inputs = L.Input((8,))
    x = L.Reshape((2, 2, 2))(x)
    for name, filters in (("stem", 3), ("a", 4), ("b", 6)):
        x = L.Conv2D(filters, 1, name=name)(x)
        x = L.BatchNormalization(name=f"bn_{name}")(x) if norm or name != "a" else x
        x = L.ReLU()(x)
    model = dlth.wrap(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x)), name="net"))
    if norm:
        model.get_layer("bn_a").gamma.assign([1, 4, 2, 3])
    model.get_layer("bn_b").gamma.assign([-6, -1, -5, -2, -4, -3])
    return model


class Notes(tf_keras.callbacks.Callback):
    """Records magnitude ticket, weights, slots and step count at the start of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: list[Ticket] = []
        self.weights: list[dict[str, np.ndarray]] = []
        self.optimizer: list[list[np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.tickets.append(dlth.magnitude_ticket(self.model, 0.5))
        self.weights.append(weights(self.model))
        self.optimizer.append([variable.numpy() for variable in self.model.optimizer.variables])
