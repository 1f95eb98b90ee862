"""A layer whose gradients are chosen by the test, and a spy that records its state after every step."""

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
    """Builds one wrapped Dense layer with a linear loss, so that its gradients depend on the batch alone.

    Args:
      kernel: [inputs, outputs].
      mask: Boolean array of that shape; the weights where it is False are removed. None removes nothing.
      optimizer: By default the published SGD.
      **options: Arguments of `compile`.
    """
    inputs = tf_keras.layers.Input((kernel.shape[0],))
    model = dlth.wrap(tf_keras.Model(inputs, tf_keras.layers.Dense(kernel.shape[1], name="fc")(inputs), name="linear"))
    model.get_layer("fc").layer.kernel.assign(kernel)
    if mask is not None:
        dlth.apply_ticket(model, Ticket.from_masks({NAME: mask}), remove=True)
    optimizer = optimizer or dlth.optimizers.SGD(0.125, momentum=0.5)
    model.compile(optimizer, lambda targets, outputs: tf.reduce_sum(targets * outputs, -1), **options)
    return model


def half(granularity: str = "weight", **options: Any) -> tf_keras.Model:
    """Builds a layer of 12 x 8, from which half of the groups are removed."""
    parsed = parse_granularity(granularity)
    kernel = drawn(0, 1, (12, 8))[0]
    groups = parsed.divide(kernel.shape)
    kept = np.random.default_rng(1).permutation(np.arange(groups.count) % 2 == 0).reshape(groups.scored)
    return layer(kernel, parsed.expand(kept, kernel.shape), **options)


def batches(gradients: np.ndarray) -> tf.data.Dataset:
    """Returns data whose batch t gives the kernel the gradient `gradients[t]`, and the bias its sum over the inputs."""
    steps, inputs, _ = gradients.shape
    images = np.broadcast_to(np.eye(inputs), (steps, inputs, inputs))
    floatx = tf_keras.backend.floatx()
    targets = gradients * inputs  # the loss is the mean over the batch
    return tf.data.Dataset.from_tensor_slices((images.astype(floatx), targets.astype(floatx)))


@dataclass(frozen=True)
class State:
    """State of the layer after a step.

    Attributes:
      mask: Boolean, True = kept.
      kernel: The kernel.
      bias: The bias.
      slots: Optimizer slots of the kernel.
      bias_slots: Optimizer slots of the bias.
    """

    mask: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    slots: tuple[np.ndarray, ...]
    bias_slots: tuple[np.ndarray, ...]


def state(model: tf_keras.Model) -> State:
    """Returns the present state of the layer."""
    entry = masking.prunable_weights(model)[NAME]
    names = ("velocities", "momentums", "_momentums", "_velocities", "_velocity_hats")
    slots = [value for name in names for value in [getattr(model.optimizer, name, ())] if value]
    return State(
        entry.kept(),
        entry.weight.numpy(),
        masking.named_weights(model)["fc/bias"].numpy(),
        tuple(value[0].numpy() for value in slots),
        tuple(value[1].numpy() for value in slots),
    )


class Spy(tf_keras.callbacks.Callback):
    """Records the state after every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[State] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.states.append(state(self.model))


def fit(model: tf_keras.Model, gradients: np.ndarray, *callbacks: Any) -> list[State]:
    """Trains for one epoch; returns the state after every step."""
    spy = Spy()
    model.fit(batches(gradients), verbose=0, callbacks=[*callbacks, spy])
    return spy.states


class Momentum:
    """The published SGD in NumPy: v = mu v + g + wd w, w -= lr v."""

    def __init__(self, kernel: np.ndarray, rate: float = 0.125, momentum: float = 0.5, decay: float = 0.0) -> None:
        self.kernel = kernel.astype("float64")
        self.velocity = np.zeros(kernel.shape)
        self.rate = rate
        self.momentum = momentum
        self.decay = decay

    def step(self, gradient: np.ndarray) -> None:
        self.velocity = self.momentum * self.velocity + gradient + self.decay * self.kernel
        self.kernel = self.kernel - self.rate * self.velocity


def drawn(seed: int, steps: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws a kernel, a mask that keeps half of it at random, and the gradients of `steps` steps."""
    rng = np.random.default_rng(seed)
    mask = rng.permutation(np.arange(shape[0] * shape[1]) % 2 == 0).reshape(shape)
    return rng.normal(size=shape), mask, rng.normal(size=(steps, *shape))
