"""What a layer does to channels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

layers = tf_keras.layers

MIXING, DEPTHWISE, POINTWISE, POOLING, PADDING = "mixing", "depthwise", "pointwise", "pooling", "padding"
CHANNEL_PADDING, FLATTEN, CONCATENATE, JOIN = "channel padding", "flatten", "concatenate", "join"
INPUT, UNKNOWN = "input", "unknown"

# By exact type: a subclass may do anything in its call.
_KINDS = {
    MIXING: (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D),
    DEPTHWISE: (layers.DepthwiseConv2D,),
    # One function of one number per channel, the same at every position.
    POINTWISE: (
        layers.BatchNormalization,
        layers.Activation,
        layers.ReLU,
        layers.LeakyReLU,
        layers.ELU,
        layers.Dropout,
        layers.SpatialDropout1D,
        layers.SpatialDropout2D,
        layers.SpatialDropout3D,
    ),
    # What is the same number at every position stays that number. Keras' average pooling does not count what it pads.
    POOLING: (
        layers.MaxPooling1D,
        layers.MaxPooling2D,
        layers.MaxPooling3D,
        layers.AveragePooling1D,
        layers.AveragePooling2D,
        layers.AveragePooling3D,
        layers.GlobalMaxPooling1D,
        layers.GlobalMaxPooling2D,
        layers.GlobalMaxPooling3D,
        layers.GlobalAveragePooling1D,
        layers.GlobalAveragePooling2D,
        layers.GlobalAveragePooling3D,
        layers.UpSampling1D,
        layers.UpSampling2D,
        layers.UpSampling3D,
        layers.Cropping1D,
        layers.Cropping2D,
        layers.Cropping3D,
    ),
    PADDING: (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    FLATTEN: (layers.Flatten,),
    CONCATENATE: (layers.Concatenate,),
    JOIN: (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
    INPUT: (layers.InputLayer,),
}
_KIND_OF_TYPE = {kind_type: kind for kind, types in _KINDS.items() for kind_type in types}

_ELEMENTWISE = {
    *(
        getattr(tf_keras.activations, name)
        for name in ("linear", "relu", "elu", "selu", "gelu", "sigmoid", "hard_sigmoid")
    ),
    *(getattr(tf_keras.activations, name) for name in ("tanh", "softplus", "softsign", "swish", "exponential", "mish")),
    *(tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.selu, tf.nn.leaky_relu, tf.nn.silu, tf.nn.gelu, tf.sigmoid, tf.tanh),
}
Shape = tuple[int | None, ...]


def kind_of(layer: Any, inputs: list[Shape]) -> str:
    """The kind of a layer for inputs of these shapes; `UNKNOWN` for whatever is not certain.

    Args:
      layer: built.
      inputs: shapes with the batch axis, channels last.
    """
    kind = _KIND_OF_TYPE.get(type(layer), UNKNOWN)
    if kind == INPUT:
        return kind
    if any(len(shape) < 2 or shape[-1] is None for shape in inputs):
        return UNKNOWN
    if kind == PADDING and _pads_channels(layer, inputs[0]):
        return CHANNEL_PADDING
    return kind if _as_expected(kind, layer, inputs) else UNKNOWN


def _as_expected(kind: str, layer: Any, inputs: list[Shape]) -> bool:
    """Whether the layer's options are those that its kind stands for."""
    if getattr(layer, "data_format", None) == "channels_first":
        return False
    ranks, channels = {len(shape) for shape in inputs}, {shape[-1] for shape in inputs}
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
    """Whether it is the shortcut of `models/cifar_resnet.py`: "channels_first" makes it pad the last axis, channels here."""
    return (
        type(layer) is layers.ZeroPadding2D
        and layer.data_format == "channels_first"
        and layer.padding[0] == (0, 0)
        and len(shape) == 4
    )


def elementwise(layer: Any) -> bool:
    """Whether the layer's own activation is known to treat every number by itself (softmax does not)."""
    try:
        return getattr(layer, "activation", tf_keras.activations.linear) in _ELEMENTWISE
    except TypeError:  # an object that has no hash
        return False


def position_independent(layer: Any) -> bool:
    """Whether a constant input adds a constant to the output: no position sees padding."""
    if type(layer) is layers.Dense:
        return True
    return layer.padding == "valid" or (layer.padding == "same" and all(size == 1 for size in layer.kernel_size))
