"""Initial weights as a pure function of (seed, layer name, weight)."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from dlth_tf.randomness import integer_seed


def fresh_weights(model: tf.keras.Model, seed: int) -> None:
    """Draws every weight anew from its layer's own initialiser, seeded by (seed, "layer/weight").

    So the initial weights do not depend on the order of the layers, the process, or what was built before. Weights
    whose initialiser a layer does not name (`kernel_initializer` for `kernel`, ...) stay as they are.
    """
    for layer in _layers(model):
        for attribute, initializer in list(vars(layer).items()):
            weight = getattr(layer, attribute.removesuffix("_initializer"), None)
            if not attribute.endswith("_initializer") or not isinstance(weight, tf.Variable) or initializer is None:
                continue
            config = initializer.get_config()
            if "seed" in config:
                initializer = type(initializer).from_config({**config, "seed": integer_seed(seed, "init", f"{layer.name}/{attribute}")})
            weight.assign(initializer(weight.shape, weight.dtype.base_dtype))


def _layers(model: tf.keras.Model) -> Iterator[tf.keras.layers.Layer]:
    return (layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, tf.keras.Model))
