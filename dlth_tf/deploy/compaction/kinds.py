"""The effect of a layer on channels: the kinds of `masking.keras2.layer_kinds`, and two more for compaction."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.layer_kinds import (
    CONCATENATE,
    DEPTHWISE,
    FLATTEN,
    INPUT,
    JOIN,
    MIXING,
    PADDING,
    POINTWISE,
    POOLING,
    TYPES,
)

__all__ = [
    "CHANNEL_PADDING",
    "CONCATENATE",
    "DEPTHWISE",
    "FLATTEN",
    "INPUT",
    "JOIN",
    "MIXING",
    "PADDING",
    "POINTWISE",
    "POOLING",
    "UNKNOWN",
    "Shape",
    "activation_name",
    "elementwise",
    "kind_of",
    "position_independent",
    "why_unknown",
]

layers = tf_keras.layers

CHANNEL_PADDING = "channel padding"
UNKNOWN = "unknown"

# By exact type, because a subclass may do anything in its call.
_KIND_OF_TYPE = {layer_type: kind for kind, types in TYPES.items() for layer_type in types}

activations = tf_keras.activations
_ELEMENTWISE = {
    activations.linear,
    activations.relu,
    activations.elu,
    activations.selu,
    activations.gelu,
    activations.sigmoid,
    activations.hard_sigmoid,
    activations.tanh,
    activations.softplus,
    activations.softsign,
    activations.swish,
    activations.exponential,
    activations.mish,
    tf.nn.relu,
    tf.nn.relu6,
    tf.nn.elu,
    tf.nn.selu,
    tf.nn.leaky_relu,
    tf.nn.silu,
    tf.nn.gelu,
    tf.sigmoid,
    tf.tanh,
}
Shape = tuple[int | None, ...]


def kind_of(layer: Any, inputs: list[Shape]) -> str:
    """Returns the kind of a layer; `UNKNOWN` unless it is certain.

    Args:
      layer: Built layer.
      inputs: Shapes of its inputs with the batch axis, channels last.
    """
    kind = _KIND_OF_TYPE.get(type(layer), UNKNOWN)
    if kind == INPUT:
        return kind
    if any(len(shape) < 2 or shape[-1] is None for shape in inputs):
        return UNKNOWN
    if kind == PADDING and _pads_channels(layer, inputs[0]):
        return CHANNEL_PADDING
    return kind if _as_expected(kind, layer, inputs) else UNKNOWN


def why_unknown(layer: Any, inputs: list[Shape]) -> str:
    """Returns why `kind_of` does not know a layer, as what it is: "a grouped convolution with groups=2".

    Args:
      layer: Layer whose kind is `UNKNOWN`.
      inputs: Shapes of its inputs with the batch axis.
    """
    name = type(layer).__name__
    if isinstance(layer, tf_keras.Model):
        return "a model inside the model"
    if type(layer) not in _KIND_OF_TYPE:
        known = isinstance(layer, layers.Lambda) or name.endswith("OpLambda")
        return "a function on tensors" if known else f"a layer of type {name}, which stays whole"
    if getattr(layer, "groups", 1) != 1:
        return f"a grouped convolution with groups={layer.groups}"
    if getattr(layer, "data_format", None) == "channels_first":
        return f"a {name} with channels first"
    if isinstance(layer, layers.Activation) and not elementwise(layer):
        return f"an activation {activation_name(layer)} that is not known to treat every number alone"
    return f"a {name} with inputs of shape {', '.join(str(list(shape)) for shape in inputs)}, which stays whole"


def activation_name(layer: Any) -> str:
    """Returns the name of a layer's activation, as far as it has one."""
    return getattr(layer.activation, "__name__", type(layer.activation).__name__)


def _as_expected(kind: str, layer: Any, inputs: list[Shape]) -> bool:
    """Returns whether the layer's options are the ones that its kind assumes."""
    if getattr(layer, "data_format", None) == "channels_first":
        return False
    ranks = {len(shape) for shape in inputs}
    channels = {shape[-1] for shape in inputs}
    if kind == JOIN:
        return len(ranks) == len(channels) == 1
    if kind == CONCATENATE:
        return len(ranks) == 1 and layer.axis in (-1, ranks.pop() - 1)
    if kind == FLATTEN:
        return None not in inputs[0][1:]
    if kind == POINTWISE and isinstance(layer, layers.BatchNormalization):
        return list(layer.axis) == [len(inputs[0]) - 1]
    if kind == POINTWISE:
        return not isinstance(layer, layers.Activation) or elementwise(layer)
    return getattr(layer, "groups", 1) == 1 and len(inputs) == 1


def _pads_channels(layer: Any, shape: Shape) -> bool:
    """Returns whether the layer is the shortcut of `models/cifar_resnet.py`.

    Its data format "channels_first" makes it pad the last axis, which is that of the channels here.
    """
    return (
        type(layer) is layers.ZeroPadding2D
        and layer.data_format == "channels_first"
        and layer.padding[0] == (0, 0)
        and len(shape) == 4
    )


def elementwise(layer: Any) -> bool:
    """Returns whether the layer's own activation is known to treat every value independently (softmax does not)."""
    try:
        return getattr(layer, "activation", activations.linear) in _ELEMENTWISE
    except TypeError:  # an unhashable callable
        return False


def position_independent(layer: Any) -> bool:
    """Returns whether a constant input adds a constant to the output, because no position reads padding."""
    if type(layer) is layers.Dense:
        return True
    return layer.padding == "valid" or (layer.padding == "same" and all(size == 1 for size in layer.kernel_size))
