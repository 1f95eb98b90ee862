"""Networks with whole filters or channels removed, where removed filters leave constants behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

import dlth_tf as dlth
from dlth_tf.randomness import generator
from tests.models.small import small


def lively(model: Any, seed: int = 0) -> Any:
    """Sets batch norms and biases to values as after training, none of which is 0 or 1, and returns the model.

    Args:
      model: A model of either Keras.
      seed: Seed of the values.
    """
    for layer in model.layers:
        random = generator(seed, "lively", layer.name)
        if type(layer).__name__ == "BatchNormalization":
            channels = layer.gamma.shape[0]
            gamma, variance = random.uniform(0.5, 1.5, (2, channels))
            beta, mean = random.normal(0, 0.5, (2, channels))
            layer.set_weights([gamma, beta, mean, variance])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.normal(0, 0.3, layer.bias.shape))
    return model


def pruned(name: str, granularity: str, sparsity: float = 0.6, seed: int = 0) -> tf_keras.Model:
    """Builds a small stripped network of this family with a random ticket."""
    wrapped = dlth.wrap(lively(small(name, seed), seed))
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, sparsity, seed=seed, granularity=granularity), remove=True)
    return dlth.strip(wrapped)


def zero(model: Any, layer: str, filters: object) -> None:
    """Removes filters (or units) of a layer but not their biases."""
    kernel = model.get_layer(layer).kernel.numpy()
    kernel[..., filters] = 0
    model.get_layer(layer).kernel.assign(kernel)


def images(model: tf_keras.Model, count: int = 4) -> np.ndarray:
    return generator(0, "images").random((count, *model.input_shape[1:])).astype(np.float32)


def difference(one: tf_keras.Model, other: tf_keras.Model) -> float:
    """Returns the largest difference of the outputs, relative to the largest output."""
    expected, outputs = (model(images(one), training=False).numpy() for model in (one, other))
    return float(np.abs(outputs - expected).max() / np.abs(expected).max())
