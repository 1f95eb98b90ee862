"""A network of the zoo: how it is built and pruned, what its clients send, and what each form does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.deploy.copied_layers import finish
from dlth_tf.randomness import generator
from tests.deploy.zoo.refusals import Refusal

L = tf_keras.layers
WORDS = ("a", "cat", "dog", "the dog sat", "unknown")
SIZE = 12  # of axes that are free


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
      build: Builds it, with initial weights.
      task: The task that an export must decide on: "classifier", "probabilities" or "raw".
      most: Number above every whole number that it takes.
      batch: Batch size of its LiteRT file, if it needs a fixed one.
      refused: Form -> why it cannot hold the network.
      tolerance: Largest difference that its precision allows, relative to the largest output or 1.
    """

    build: Callable[[], tf_keras.Model]
    task: str = "classifier"
    most: int = 10
    batch: int | None = None
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    tolerance: float = 5e-3

    def fixed(self, form: str) -> int | None:
        """Returns the batch size that a form of this network has, if it is fixed."""
        return self.batch if form == "tflite" else None

    def pruned(self, granularity: str) -> tf_keras.Model:
        """Builds the network, wraps it, removes half of its weights or filters, and strips it."""
        tf_keras.utils.set_random_seed(0)
        wrapped = dlth.wrap(lively(self.build()))
        ticket = dlth.random_ticket(wrapped, 0.5, granularity=granularity, dense_layers="none")
        dlth.apply_ticket(wrapped, ticket, remove=True)
        return dlth.strip(wrapped)


def lively(model: tf_keras.Model) -> tf_keras.Model:
    """Sets all vectors, such as biases and moments, to values as after training."""
    for index, weight in enumerate(model.weights):
        if isinstance(weight, tf.Variable) and weight.shape.rank == 1 and weight.dtype.is_floating:
            low, high = (0.5, 1.5) if "variance" in weight.name or "gamma" in weight.name else (-0.5, 0.5)
            weight.assign(tf.cast(generator(0, "lively", index).uniform(low, high, weight.shape), weight.dtype))
    finish(model)
    return model


def inputs_of(specs: Mapping[str, tf.TensorSpec], most: int, count: int) -> dict[str, np.ndarray]:
    """Draws what a client sends, by the names of the inputs."""
    return {name: _draw(spec, most, count) for name, spec in specs.items()}


def _draw(spec: tf.TensorSpec, most: int, count: int) -> np.ndarray:
    random = generator(1, "zoo", spec.name)
    shape = (count, *(axis or SIZE for axis in spec.shape[1:]))
    if spec.dtype == tf.string:
        return np.char.encode(random.choice(np.array(WORDS), shape))
    if spec.dtype == tf.bool:
        return random.random(shape) < 0.5
    if spec.dtype.is_integer:
        return random.integers(0, 256 if spec.dtype == tf.uint8 else most, shape).astype(spec.dtype.as_numpy_dtype)
    return random.normal(0, 1, shape).astype(spec.dtype.as_numpy_dtype)


def image(*layers: Any, size: int | None = 8, end: tuple[Any, ...] | None = None) -> Callable[[], tf_keras.Model]:
    """Returns the builder of a convolution, these layers, and a head of three classes; layers are made by lambdas."""

    def build() -> tf_keras.Model:
        ends = (L.GlobalAveragePooling2D, lambda: L.Dense(3)) if end is None else end
        return _stack(L.Input((size, size, 3)), lambda: L.Conv2D(4, 3), *layers, *ends)

    return build


def vector(*layers: Any, end: tuple[Any, ...] | None = None) -> Callable[[], tf_keras.Model]:
    """Returns the builder of a dense layer, these layers, and a head of three classes."""
    return lambda: _stack(L.Input((10,)), lambda: L.Dense(8), *layers, *(end or (lambda: L.Dense(3),)))


def sequence(*layers: Any, length: int | None = 12) -> Callable[[], tf_keras.Model]:
    """Returns the builder of these layers on a sequence of vectors, and a head of three classes."""
    return lambda: _stack(L.Input((length, 4)), *layers, L.GlobalAveragePooling1D, lambda: L.Dense(3))


def last(*layers: Any, length: int | None = 12) -> Callable[[], tf_keras.Model]:
    """Returns the builder of layers that make one vector of a sequence, and a head of three classes."""
    return lambda: _stack(L.Input((length, 4)), *layers, lambda: L.Dense(3))


def tokens(*layers: Any, length: int | None = 12, end: tuple[Any, ...] | None = None) -> Callable[[], tf_keras.Model]:
    """Returns the builder of an embedding of tokens, these layers, and a head of three classes."""
    ends = (L.GlobalAveragePooling1D, lambda: L.Dense(3)) if end is None else end
    return lambda: _stack(L.Input((length,), dtype="int32"), lambda: L.Embedding(10, 6), *layers, *ends)


def _stack(start: Any, *layers: Any) -> tf_keras.Model:
    out = start
    for make in layers:
        out = make()(out)
    return tf_keras.Model(start, out)
