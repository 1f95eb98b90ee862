"""What the networks of this room share: their inputs, sizes, initial weights, convolutions, normalisation and head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import tf_keras

from dlth_tf.errors import BadInput

layers = tf_keras.layers

# He et al., ICCV 2015, eq. 10, as PyTorch draws it: normal with variance 2 / fan_in, not truncated. A config and not an
# object, so that every layer makes an initialiser of its own.
KAIMING = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_in", "distribution": "untruncated_normal"},
}
# Each output of a depthwise kernel sees one channel, but its shape (height, width, channels, 1) makes Keras count all of
# them as inputs. What Keras counts as outputs is the true number of inputs: height * width.
KAIMING_DEPTHWISE = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
}


def scaled(size: int, width: float) -> int:
    """`size * width`, rounded, at least 1.

    Raises:
      BadInput: width is no number above 0.
    """
    if not isinstance(width, Real) or isinstance(width, bool) or not 0 < width < math.inf:
        raise BadInput("model_args", {"width": width}, "width must be a number above 0")
    return max(1, round(size * width))


def one_of(argument: str, value: Any, allowed: Sequence[str]) -> str:
    """Returns `value`, an argument of a builder, if it is among `allowed`; raises BadInput otherwise."""
    if value not in allowed:
        raise BadInput("model_args", {argument: value}, f"{argument} must be {' or '.join(allowed)}")
    return value


def image_input(name: str, image_shape: tuple[int, ...], least: int) -> Any:
    """The input tensor of a convolutional network.

    Args:
      name: of the model, for the message.
      image_shape: (height, width, channels).
      least: height and width; with fewer pixels some layer would have to halve a single one.

    Raises:
      BadInput: no shape of images, or fewer pixels.
    """
    if len(image_shape) != 3 or min(image_shape) < 1 or min(image_shape[:2]) < least:
        raise BadInput(
            "model",
            name,
            f"needs images of shape [height, width, channels] with height and width at least {least}, not {list(image_shape)}",
        )
    return tf_keras.Input(image_shape, name="image")


def conv(x: Any, channels: int, size: int, name: str, stride: int = 1, use_bias: bool = False) -> Any:
    """A convolution with Kaiming-normal weights, padded by size // 2 on every side as in PyTorch.

    TensorFlow's own padding of a strided convolution is not symmetric, so there the padding is a layer before it.
    """
    padding = "same"
    if stride > 1 and size > 1:
        x, padding = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x), "valid"
    return layers.Conv2D(
        channels, size, stride, padding=padding, use_bias=use_bias, kernel_initializer=KAIMING, name=name
    )(x)


def depthwise(x: Any, name: str, stride: int = 1) -> Any:
    """A 3x3 depthwise convolution, padded by 1 on every side, which sparse runtimes need too (XNNPACK: symmetric padding)."""
    padding = "same"
    if stride > 1:
        x, padding = layers.ZeroPadding2D(1, name=f"{name}_padding")(x), "valid"
    return layers.DepthwiseConv2D(
        3, stride, padding=padding, use_bias=False, depthwise_initializer=KAIMING_DEPTHWISE, name=name
    )(x)


def normalise(x: Any, norm: str, name: str) -> Any:
    """Batch normalisation with PyTorch's numbers, epsilon 1e-5 and momentum .9.

    Args:
      x: features, channels last.
      norm: "batch", or "sync_batch" for statistics over the whole batch of all replicas.
      name: of the layer.

    Raises:
      BadInput: another `norm`.
    """
    synchronized = one_of("norm", norm, ("batch", "sync_batch")) == "sync_batch"
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=name)(x)


def conv_norm_relu(x: Any, channels: int, size: int, norm: str, prefix: str, number: int | str, stride: int = 1) -> Any:
    """Convolution, batch norm and ReLU as {prefix}conv{number}, {prefix}bn{number}, {prefix}relu{number}."""
    x = conv(x, channels, size, f"{prefix}conv{number}", stride)
    x = normalise(x, norm, f"{prefix}bn{number}")
    return layers.ReLU(name=f"{prefix}relu{number}")(x)


def classifier(x: Any, classes: int) -> Any:
    """Global average pooling and a dense layer: the logits."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, kernel_initializer=KAIMING, name="fc")(x)
