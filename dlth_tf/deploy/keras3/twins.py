"""The twin of a Keras 3 layer in tf_keras: the same arguments, the same values."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.copied_layers import finish
from dlth_tf.deploy.layer_config import config_of
from dlth_tf.masking.structure.layer_paths import weight_names

NOT_FOR_INFERENCE = ("_initializer", "_regularizer", "_constraint")
# Arguments that change no output in inference mode, which a twin may lack.
IRRELEVANT = {"trainable", "dtype", "name", "seed", "use_cudnn", "flash_attention", "synchronized", "autocast"}
OTHER_NAMES = {"LeakyReLU": {"negative_slope": "alpha"}}
OTHER_WEIGHTS = {kind: {"kernel": "depthwise_kernel"} for kind in ("DepthwiseConv1D", "DepthwiseConv2D")}
TOLERANCE = 1e-5


class Untranslatable(Exception):
    """Something in the model has no twin in tf_keras; the message says what, as the end of a sentence."""


def twin_of(layer: Any, **changes: Any) -> Any:
    """Returns the layer of tf_keras with the same arguments, without its weights.

    Args:
      layer: A layer of Keras 3, which is no model.
      **changes: Arguments that change.

    Raises:
      Untranslatable: If there is none.
    """
    twin = getattr(tf_keras.layers, type(layer).__name__, None)
    if twin is None or not type(layer).__module__.startswith("keras."):
        raise Untranslatable("tf_keras has no such layer")
    return twin(**_arguments(layer, twin) | changes)


def _arguments(layer: Any, twin: type) -> dict[str, Any]:
    """The arguments of the twin's constructor: those of the layer that it knows and inference needs."""
    taken = {name for kind in twin.__mro__[:-1] for name in inspect.signature(kind).parameters}
    usual = {name: each.default for name, each in inspect.signature(type(layer)).parameters.items()}
    arguments = {"name": layer.name, "dtype": layer.dtype_policy.name}
    for name, value in config_of(layer).items():
        new = OTHER_NAMES.get(type(layer).__name__, {}).get(name, name)
        if new not in taken and name not in IRRELEVANT and usual.get(name) is not None and value != usual[name]:
            raise Untranslatable(f"tf_keras' layer knows no {name}={value!r}")
        if new not in taken or new in arguments or name.endswith(NOT_FOR_INFERENCE):
            continue
        if name == "activation" or name.endswith("_activation"):
            arguments[new] = _activation(getattr(layer, name))
        elif isinstance(value, dict) and "class_name" in value:
            arguments[new] = _inner(layer, name)
        elif name == "cells":
            arguments[new] = [twin_of(cell) for cell in layer.cells]
        else:
            arguments[new] = value
    arguments.pop("trainable", None)
    return arguments


def _inner(layer: Any, name: str) -> tf_keras.layers.Layer:
    """Returns the twin of a layer that another one holds."""
    both = isinstance(layer, keras.layers.Bidirectional)
    inner = layer.forward_layer if both and name == "layer" else getattr(layer, name)
    # tf_keras puts these words before the names too.
    named = {"name": inner.name.removeprefix("forward_" if name == "layer" else "backward_")} if both else {}
    if not isinstance(inner, keras.Layer) or isinstance(inner, keras.Model):
        raise Untranslatable(f"its {name} has no twin in tf_keras")
    return twin_of(inner, **named)


def _activation(function: Any) -> Any:
    """The name of an activation where tf_keras computes the same by it, else the function, which is on TensorFlow."""
    if isinstance(function, keras.Layer):
        raise Untranslatable("its activation is a layer")
    name = keras.activations.serialize(function) if function is not None else "linear"
    return name if isinstance(name, str) and _is_known(name) else function


def _is_known(activation: str) -> bool:
    """Returns whether tf_keras computes the same by this name."""
    try:
        twin = tf_keras.activations.get(activation)
    except ValueError:
        return False
    numbers = tf.constant(np.linspace(-8, 8, 99).reshape(33, 3), tf.float32)
    return np.allclose(keras.activations.get(activation)(numbers), twin(numbers), rtol=0, atol=TOLERANCE)


def copy_weights(layer: Any, twin: Any) -> list[tuple[Any, Any]]:
    """Gives a twin the values of its layer, and returns the pairs of weights.

    Raises:
      Untranslatable: If the twin has other weights.
    """
    other = OTHER_WEIGHTS.get(type(layer).__name__, {})
    known = {key: other.get(name, name) for key, name in weight_names(layer).items()}
    ours = {known[id(weight)]: weight for weight in layer.weights}
    names = weight_names(twin)
    if {names[id(weight)] for weight in twin.weights} != ours.keys():
        raise Untranslatable("tf_keras' layer has other weights")
    pairs = [(ours[names[id(weight)]], weight) for weight in twin.weights]
    for source, weight in pairs:
        weight.assign(source.numpy())
    finish(twin)
    return pairs
