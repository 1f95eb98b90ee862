"""Small networks and data of Keras 3, on the backend of the process."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import dlth_tf as dlth
from dlth_tf import masking

BACKEND = keras.config.backend()
L = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(seed: int = 0) -> keras.Model:
    """Returns 6 -> 16 -> 12 -> 3."""
    keras.utils.set_random_seed(seed)
    layers = [L.Dense(16, "relu", name="fc1"), L.Dense(12, "relu", name="fc2"), L.Dense(3, name="out")]
    return keras.Sequential([keras.Input((6,)), *layers], name="net")


def data(number: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Returns examples [number, 6] and labels of 3 classes."""
    random = np.random.default_rng(0)
    return random.normal(size=(number, 6)).astype("float32"), random.integers(0, 3, number)


def fit(model: Any, callbacks: Any = (), epochs: int = 3, **options: Any) -> keras.callbacks.History:
    """Trains 5 steps of 8 an epoch, in order."""
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(*data(), epochs=epochs, callbacks=list(callbacks), **options)


def compiled(model: Any, optimizer: Any = None, **options: Any) -> Any:
    """Compiles a model, with the published SGD unless another optimizer is given, and returns it."""
    model.compile(optimizer or dlth.keras3.SGD(0.05, momentum=0.9), LOSS, **options)
    return model


def removed(model: Any) -> dict[str, float]:
    """Returns the fraction that the masks remove, of every prunable weight of which something is removed."""
    shares = {name: float(1 - entry.kept().mean()) for name, entry in masking.prunable_weights(model).items()}
    return {name: round(share, 4) for name, share in shares.items() if share}


def zeros(model: Any) -> dict[str, float]:
    """Returns the fraction of zeros of every prunable weight with zeros."""
    found = {name: np.mean(entry.weight.numpy() == 0) for name, entry in masking.prunable_weights(model).items()}
    return {name: round(float(share), 4) for name, share in found.items() if share}


def state(model: Any) -> dict[str, np.ndarray]:
    """Returns weights, masks and slots of the optimizers."""
    found = {name: np.array(weight) for name, weight in masking.weight_arrays(model).items()}
    found |= {f"{name} kept": entry.kept().copy() for name, entry in masking.prunable_weights(model).items()}
    slots = [slot for optimizer in masking.world.of(model).optimizers_of(model) for slot in optimizer.variables]
    return found | {f"slot {number}": np.array(slot.numpy()) for number, slot in enumerate(slots)}


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """Asserts that two states agree bit by bit."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def transform(**options: Any) -> list[Any]:
    """Returns the callbacks of a transformation of 15 steps."""
    rst = dlth.callbacks.RSTPenalty(step=0.1, every=1, hold_steps=5, **options)
    assert rst.steps == 15
    return [dlth.callbacks.RandomMask(0.75, seed=3), rst]
