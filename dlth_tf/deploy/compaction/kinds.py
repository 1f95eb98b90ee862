"""The effect of a layer on channels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

layers = tf_keras.layers

MIXING = "mixing"
DEPTHWISE = "depthwise"
POINTWISE = "pointwise"
POOLING = "pooling"
PADDING = "padding"
CHANNEL_PADDING = "channel padding"
FLATTEN = "flatten"
CONCATENATE = "concatenate"
JOIN = "join"
INPUT = "input"
UNKNOWN = "unknown"

# By exact type, because a subclass may do anything in its call.
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
    # A channel with one value at every position keeps that value. Keras' average pooling does not count padding.
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
