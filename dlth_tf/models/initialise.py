"""Initial weights as a pure function of (seed, layer name, weight)."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
import tf_keras

from dlth_tf.randomness import integer_seed


def fresh_weights(model: tf_keras.Model, seed: int) -> None:
    """Draws every weight anew from its layer's own initialiser, seeded by (seed, "layer/weight").

    So the initial weights do not depend on the order of the layers, the process, or what was built before. Weights
    whose initialiser a layer does not name (`kernel_initializer` for `kernel`, `depthwise_initializer` for
    `depthwise_kernel`, ...) stay as they are.
    """
    for layer in _layers(model):
        for attribute, initializer in list(vars(layer).items()):
            weight = _weight_of(layer, attribute)
            if weight is None or initializer is None:
                continue
            config = initializer.get_config()
            if "seed" in config:
                initializer = type(initializer).from_config(
                    {**config, "seed": integer_seed(seed, "init", f"{layer.name}/{attribute}")}
                )
            weight.assign(initializer(weight.shape, weight.dtype.base_dtype))


def _weight_of(layer: tf_keras.layers.Layer, attribute: str) -> tf.Variable | None:
    """The weight that an initialiser is for, if the attribute is one's and the layer has that weight."""
    if not attribute.endswith("_initializer"):
        return None
    name = attribute.removesuffix("_initializer")
    found = (getattr(layer, candidate, None) for candidate in (name, f"{name}_kernel"))
    return next((weight for weight in found if isinstance(weight, tf.Variable)), None)


def _layers(model: tf_keras.Model) -> Iterator[tf_keras.layers.Layer]:
    return (layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, tf_keras.Model))
