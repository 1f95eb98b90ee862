"""Masks that change, rewinding and scores under a strategy.

As a command it runs them under MirroredStrategy on two logical CPUs and writes the outcome into a file:

    python -m tests.callbacks.two_replicas_changing OUT.npz filters imp scores

One process per strategy: several MirroredStrategy objects in one process disturb each other's collectives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, scores
from dlth_tf.callbacks import IMP, DynamicSparsity, EarlyBird, GradualMagnitude, RandomMask, StraightThrough
from tests.callbacks import linear

WHOLE = {"dense_layers": "none"}
CALLBACKS: dict[str, Callable[[], list[Any]]] = {
    "rigl": lambda: [RandomMask(0.5, remove=True, **WHOLE), DynamicSparsity(fraction=0.9, every=2, stop=7)],
    "set": lambda: [RandomMask(0.5, remove=True, **WHOLE), DynamicSparsity("random", fraction=0.9, every=2, stop=7)],
    "filters": lambda: [
        RandomMask(0.5, remove=True, granularity="filter", **WHOLE),
        DynamicSparsity(fraction=0.9, every=2, stop=7, granularity="filter"),
    ],
    "gmp": lambda: [GradualMagnitude(0.75, begin=2, end=6, every=2, **WHOLE)],
    "ste": lambda: [StraightThrough(0.75, **WHOLE)],
    "imp": lambda: [IMP(0.75, rounds=2, rewind_step=2, **WHOLE)],
    "early_bird": lambda: [EarlyBird(0.5, last_epoch=2, window=2, **WHOLE)],
}


def outcome(strategy: tf.distribute.Strategy, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Returns mask, weights and slots after each callback's fit, scores, and the largest gap between replicas."""
    kernel, _, gradients = linear.drawn(0, 4, (12, 8))
    arrays = {"replicas": np.array(strategy.num_replicas_in_sync), "apart": np.array(0.0)}
    for name, callbacks in ((name, CALLBACKS[name]) for name in names if name != "scores"):
        with strategy.scope():
            model = linear.layer(kernel, steps_per_execution=2 if name in ("rigl", "imp") else 1)
        model.fit(linear.batches(gradients), epochs=3, verbose=0, callbacks=callbacks())
        state = linear.state(model)
        arrays |= {f"mask/{name}": state.mask, f"{name}/kernel": state.kernel, f"{name}/velocity": state.slots[0]}
        entry = masking.prunable_weights(model)[linear.NAME]
        for variable in (entry.weight, entry.mask):
            first, *others = (part.numpy() for part in strategy.experimental_local_results(variable))
            arrays["apart"] = max([arrays["apart"], *(np.abs(first - other).max() for other in others)])
    return arrays | (scored(strategy) if "scores" in names else {})


def scored(strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """Returns SNIP, GraSP (whose batch norm is in training mode) and SynFlow scores of one small network."""
    layers = tf_keras.layers
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(6, 4)).astype("float32"), rng.integers(0, 3, 6)
    with strategy.scope():
        tf_keras.utils.set_random_seed(0)
        hidden = [layers.Dense(5, name="one"), layers.BatchNormalization(), layers.ReLU()]
        model = dlth.wrap(tf_keras.Sequential([layers.Input((4,)), *hidden, layers.Dense(3, name="two")]))
        weights = {name: entry.weight for name, entry in masking.prunable_weights(model).items()}
        by = {
            "snip": scores.snip(model, weights, *batch),
            "grasp": scores.grasp(model, weights, [batch], temperature=1.0),
            "synflow": scores.SynapticFlow(model, weights, (4,)).score({}),
        }
    return {f"{score}/{name}": value for score, values in by.items() for name, value in values.items()}


def main(path: str, *names: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    np.savez(path, **outcome(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), names))


if __name__ == "__main__":
    main(*sys.argv[1:])
