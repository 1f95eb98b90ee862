"""A tiny network, fixed data, and a spy that reads the removed weights after every optimizer step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.core import parse_granularity
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2 import ops

L = tf_keras.layers
LOSS = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(seed: int = 0, classes: int = 3) -> tf_keras.Model:
    """Builds 8 -> 12 -> 10 -> classes, with the same initial weights for the same seed."""
    tf_keras.utils.set_random_seed(seed)
    layers = [
        L.Input((8,)),
        L.Dense(12, "relu", name="fc1"),
        L.Dense(10, "relu", name="fc2"),
        L.Dense(classes, name="out"),
    ]
    return tf_keras.Sequential(layers, name="mlp")


def wrapped(sparsity: float = 0.5, *, remove: bool = True, seed: int = 0) -> tf_keras.Model:
    """Returns the wrapped mlp with a random ticket, whose weights are removed if `remove`, otherwise only chosen."""
    model = dlth.wrap(mlp(seed))
    dlth.apply_ticket(model, dlth.random_ticket(model, sparsity, seed), remove=remove)
    return model


def batches(steps: int, size: int = 8, dtype: str = "float32") -> tf.data.Dataset:
    """Returns `steps` batches for the mlp in a fixed order; the first ones do not depend on `steps`."""
    rng = np.random.default_rng(7)
    drawn = [(rng.normal(size=(size, 8)).astype(dtype), rng.integers(0, 3, size)) for _ in range(steps)]
    return tf.data.Dataset.from_tensor_slices(tuple(np.stack(part) for part in zip(*drawn, strict=True)))


def unknown_length(steps: int) -> tf.data.Dataset:
    """Returns the same batches from a generator, so that their number is unknown before the end."""
    return tf.data.Dataset.from_generator(lambda: iter(batches(steps)), output_signature=batches(1).element_spec)


def compiled(model: tf_keras.Model, optimizer: Any = None, **options: Any) -> tf_keras.Model:
    """Compiles the model, by default with the published SGD."""
    model.compile(optimizer or dlth.optimizers.SGD(0.1, momentum=0.9), LOSS, **options)
    if hasattr(model.optimizer, "build"):
        # Otherwise the train step would be traced twice, which takes half of the time of these tests.
        model.optimizer.build(model.trainable_variables)
    return model


def train(model: tf_keras.Model, callbacks: list, steps: int = 6, epochs: int = 1) -> tf_keras.callbacks.History:
    return model.fit(batches(steps), epochs=epochs, verbose=0, callbacks=callbacks)


def weights(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """Returns copies of all weights of the network, without masks and tickets."""
    return {name: variable.numpy().copy() for name, variable in masking.named_weights(model).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Returns whether the arrays are equal to the last bit, including the sign of zeros."""
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def kept_whole(model: tf_keras.Model) -> bool:
    return all(entry.kept().all() for entry in masking.prunable_weights(model).values())


def largest_removed(model: tf_keras.Model) -> float:
    """Returns the largest |w| among the weights that the masks remove."""
    return max(
        float(np.abs(entry.weight.numpy()[~entry.kept()]).max(initial=0))
        for entry in masking.prunable_weights(model).values()
    )


@dataclass(frozen=True)
class Watched:
    """Records of `watch`: the number of optimizer steps, and the largest removed |w| after any of them."""

    steps: tf.Variable
    largest: tf.Variable


def watch(model: tf_keras.Model) -> Watched:
    """Reads the removed weights after every single train step, inside the graph, and so inside long executions too."""
    # Of 64 bits: variables of 32-bit integers stay on the CPU, which a step that XLA compiles for a GPU cannot reach.
    seen = Watched(tf.Variable(0, dtype=tf.int64), tf.Variable(0.0, dtype=tf.float64))
    entries = list(masking.prunable_weights(model).values())
    train_step = model.train_step

    def watched_step(data: Any) -> Any:
        logs = train_step(data)
        for entry in entries:
            removed = (1 - tf.cast(entry.mask, tf.float64)) * tf.abs(tf.cast(entry.weight, tf.float64))
            seen.largest.assign(tf.maximum(seen.largest, tf.reduce_max(removed)))
        seen.steps.assign_add(1)
        return logs

    model.train_step = watched_step
    return seen


def graph_groups(entry: masking.PrunableWeight, granularity: str = "weight") -> GraphGroups:
    """Returns the groups of a weight, on TensorFlow's operations."""
    return GraphGroups(entry, parse_granularity(granularity), ops)


def jit_by_hand() -> tf_keras.optimizers.Optimizer:
    """Returns the published SGD with its `jit_compile` set after construction."""
    optimizer = dlth.optimizers.SGD(0.1, momentum=0.9)
    optimizer.jit_compile = True
    return optimizer
