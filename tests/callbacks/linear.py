"""A layer whose gradients are whatever a test wants them to be, and a spy that notes its state after every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.core import Ticket, parse_granularity

NAME = "fc/kernel"


def layer(kernel: np.ndarray, mask: np.ndarray | None = None, optimizer: Any = None, **options: Any) -> tf_keras.Model:
    """One Dense layer; `mask`, if given, is removed from it. The loss is linear: its gradient is that of the batch alone."""
    inputs = tf_keras.layers.Input((kernel.shape[0],))
    model = dlth.wrap(tf_keras.Model(inputs, tf_keras.layers.Dense(kernel.shape[1], name="fc")(inputs), name="linear"))
    model.get_layer("fc").layer.kernel.assign(kernel)
    if mask is not None:
        dlth.apply_ticket(model, Ticket.from_masks({NAME: mask}), remove=True)
    optimizer = optimizer or dlth.optimizers.SGD(0.125, momentum=0.5)
    model.compile(optimizer, lambda targets, outputs: tf.reduce_sum(targets * outputs, -1), **options)
    return model


def half(granularity: str = "weight", **options: Any) -> tf_keras.Model:
    """A layer of 12 x 8 of which half the groups are removed."""
    grain, kernel = parse_granularity(granularity), drawn(0, 1, (12, 8))[0]
    groups = grain.divide(kernel.shape)
    kept = np.random.default_rng(1).permutation(np.arange(groups.count) % 2 == 0).reshape(groups.scored)
    return layer(kernel, grain.expand(kept, kernel.shape), **options)


def batches(gradients: np.ndarray) -> tf.data.Dataset:
    """Data of which step t has the kernel's gradient `gradients[t]`, and the bias's its sum over the inputs."""
    steps, inputs, _ = gradients.shape
    images = np.broadcast_to(
        np.eye(inputs), (steps, inputs, inputs)
    )  # the loss is the mean over the batch, so targets are larger
    floatx = tf_keras.backend.floatx()
    return tf.data.Dataset.from_tensor_slices((images.astype(floatx), (gradients * inputs).astype(floatx)))


@dataclass(frozen=True)
class State:
    """Of the layer after a step."""

    mask: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    slots: tuple[np.ndarray, ...]  # of the kernel
    bias_slots: tuple[np.ndarray, ...]


def state(model: tf_keras.Model) -> State:
    entry, names = (
        masking.prunable_weights(model)[NAME],
        ("velocities", "momentums", "_momentums", "_velocities", "_velocity_hats"),
    )
    slots = [value for name in names for value in [getattr(model.optimizer, name, ())] if value]
    return State(
        entry.kept(),
        entry.weight.numpy(),
        masking.named_weights(model)["fc/bias"].numpy(),
        tuple(value[0].numpy() for value in slots),
        tuple(value[1].numpy() for value in slots),
    )


class Spy(tf_keras.callbacks.Callback):
    """Notes the state after every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[State] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.states.append(state(self.model))


def fit(model: tf_keras.Model, gradients: np.ndarray, *callbacks: tf_keras.callbacks.Callback) -> list[State]:
    """One epoch; the state after every step."""
    spy = Spy()
    model.fit(batches(gradients), verbose=0, callbacks=[*callbacks, spy])
    return spy.states


class Momentum:
    """SGD as published, in NumPy: v = mu v + g + wd w, w -= lr v."""

    def __init__(self, kernel: np.ndarray, rate: float = 0.125, momentum: float = 0.5, decay: float = 0.0) -> None:
        self.kernel, self.velocity = kernel.astype("float64"), np.zeros(kernel.shape)
        self.rate, self.momentum, self.decay = rate, momentum, decay

    def step(self, gradient: np.ndarray) -> None:
        self.velocity = self.momentum * self.velocity + gradient + self.decay * self.kernel
        self.kernel = self.kernel - self.rate * self.velocity


def drawn(seed: int, steps: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A kernel, a mask that keeps half of it at random, and gradients."""
    rng = np.random.default_rng(seed)
    mask = rng.permutation(np.arange(shape[0] * shape[1]) % 2 == 0).reshape(shape)
    return rng.normal(size=shape), mask, rng.normal(size=(steps, *shape))
