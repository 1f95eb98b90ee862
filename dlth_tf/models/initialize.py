"""Initial weights as a pure function of (seed, layer name, weight)."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from dlth_tf.randomness import integer_seed


def fresh_weights(model: tf_keras.Model, seed: int) -> None:
    """Redraws every weight from its layer's own initializer, seeded by (seed, "layer/weight").

    So the initial weights do not depend on the order of the layers, the process, or the models built before. Weights
    whose initializer is not an attribute of the layer (`kernel_initializer` for `kernel`, `depthwise_initializer` for
    `depthwise_kernel`, ...) keep their values.

    Args:
      model: Built model, changed in place.
      seed: Seed of the initial weights.
    """
    for layer in _layers(model):
        for attribute, initializer in list(vars(layer).items()):
            weight = _weight_of(layer, attribute)
            if weight is None or initializer is None:
                continue
            config = initializer.get_config()
            if "seed" in config:
                weight_seed = integer_seed(seed, "init", f"{layer.name}/{attribute}")
                initializer = type(initializer).from_config({**config, "seed": weight_seed})
            weight.assign(initializer(weight.shape, weight.dtype.base_dtype))


def _weight_of(layer: tf_keras.layers.Layer, attribute: str) -> tf.Variable | None:
    """Returns the weight that an initializer attribute belongs to; None if the layer has no such weight."""
    if not attribute.endswith("_initializer"):
        return None
    name = attribute.removesuffix("_initializer")
    candidates = (getattr(layer, candidate, None) for candidate in (name, f"{name}_kernel"))
    return next((weight for weight in candidates if isinstance(weight, tf.Variable)), None)


def _layers(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers at every depth, those inside other layers too, without the models among them."""
    return [
        module
        for module in model.submodules
        if isinstance(module, tf_keras.layers.Layer) and not isinstance(module, tf_keras.Model)
    ]
