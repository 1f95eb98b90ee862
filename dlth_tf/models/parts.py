"""Parts shared by the networks: inputs, sizes, initial weights, convolutions, normalization and head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import ABOVE_0, real_number, whole_numbers

layers = tf_keras.layers

# He et al., ICCV 2015, eq. 10, as PyTorch draws it: normal with variance 2 / fan_in, not truncated. A config and not an
# object, so that every layer creates its own initializer.
KAIMING = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_in", "distribution": "untruncated_normal"},
}
# Each output of a depthwise kernel sees one channel, but its shape (height, width, channels, 1) makes Keras count all
# of them as inputs. The number that Keras counts as outputs is the true number of inputs: height * width.
KAIMING_DEPTHWISE = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
}


def scaled(size: int, width: float) -> int:
    """Returns `size * width`, rounded, at least 1.

    Args:
      size: Number of channels or units at width 1.
      width: Factor above 0.

    Raises:
      BadInput: If `width` is not a number above 0.
    """
    try:
        return max(1, round(size * real_number("width", width, ABOVE_0)))
    except BadInput as refused:
        raise BadInput("model_args", {"width": width}, f"width {refused.allowed}") from None


def one_of(argument: str, value: Any, allowed: Sequence[str]) -> str:
    """Returns `value`, an argument of a builder, if it is among `allowed`; raises BadInput otherwise."""
    if value not in allowed:
        raise BadInput("model_args", {argument: value}, f"{argument} must be {' or '.join(allowed)}")
    return value


def image_input(name: str, image_shape: tuple[int, ...], least: int) -> Any:
    """Returns the input tensor of a convolutional network.

    Args:
      name: Name of the model, for the message.
      image_shape: Height, width and channels.
      least: Smallest height and width; with fewer pixels some layer would have to halve a single one.

    Raises:
      BadInput: If `image_shape` is not a shape of images, or the images are too small.
    """
    if len(image_shape) != 3 or min(image_shape) < 1 or min(image_shape[:2]) < least:
        raise BadInput(
            "model",
            name,
            f"needs images of shape [height, width, channels] with height and width at least {least}, "
            f"not {list(image_shape)}",
        )
    return tf_keras.Input(whole_numbers("image_shape", image_shape), name="image")


@dataclass(frozen=True)
class ConvBlock:
    """Creates the layers of one block of a convolutional network, with common settings and a common name prefix.

    Attributes:
      width: Factor of the numbers of channels, above 0.
      norm: "batch" for batch norm; "sync_batch" for batch norm over the whole batch of all replicas; "none" for
        convolutions with biases and no batch norm.
      prefix: Beginning of the names of the layers.
    """

    width: float
    norm: str
    prefix: str = ""

    def scaled(self, channels: int) -> int:
        """Returns `channels * width`, rounded, at least 1."""
        return scaled(channels, self.width)

    def conv(self, x: Any, channels: int, size: int, name: str, stride: int = 1) -> Any:
        """Applies a convolution with Kaiming-normal weights, padded by size // 2 on every side as in PyTorch.

        TensorFlow's own padding of a strided convolution is not symmetric, so its padding is a separate layer.

        Args:
          x: Features, channels last.
          channels: Number of output channels; the width is not applied to it.
          size: Height and width of the kernel, odd.
          name: Name of the layer, after the prefix.
          stride: Stride in both dimensions.
        """
        name = self.prefix + name
        padding = "same"
        if stride > 1 and size > 1:
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)
            padding = "valid"
        return layers.Conv2D(
            channels,
            size,
            stride,
            padding=padding,
            use_bias=self.norm == "none",
            kernel_initializer=KAIMING,
            name=name,
        )(x)

    def depthwise(self, x: Any, name: str, stride: int = 1) -> Any:
        """Applies a 3x3 depthwise convolution, padded by 1 on every side, as sparse runtimes need it too (XNNPACK).

        Args:
          x: Features, channels last.
          name: Name of the layer, after the prefix.
          stride: Stride in both dimensions.
        """
        name = self.prefix + name
        padding = "same"
        if stride > 1:
            x = layers.ZeroPadding2D(1, name=f"{name}_padding")(x)
            padding = "valid"
        return layers.DepthwiseConv2D(
            3, stride, padding=padding, use_bias=False, depthwise_initializer=KAIMING_DEPTHWISE, name=name
        )(x)

    def normalize(self, x: Any, name: str) -> Any:
        """Applies batch normalization with PyTorch's numbers, epsilon 1e-5 and momentum .9.

        Args:
          x: Features, channels last.
          name: Name of the layer, after the prefix.

        Raises:
          BadInput: If the block has another `norm` than "batch" and "sync_batch".
        """
        synchronized = one_of("norm", self.norm, ("batch", "sync_batch")) == "sync_batch"
        return layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=self.prefix + name
        )(x)

    def relu(self, x: Any, name: str, limit: float | None = None) -> Any:
        """Applies a ReLU, clipped at `limit` if that is not None; its name is `name` after the prefix."""
        return layers.ReLU(limit, name=self.prefix + name)(x)

    def conv_norm_relu(self, x: Any, channels: int, size: int, number: int, stride: int = 1) -> Any:
        """Applies {prefix}conv{number}, {prefix}bn{number} unless the norm is "none", and {prefix}relu{number}."""
        x = self.conv(x, channels, size, f"conv{number}", stride)
        if self.norm != "none":
            x = self.normalize(x, f"bn{number}")
        return self.relu(x, f"relu{number}")


def classifier(x: Any, classes: int) -> Any:
    """Applies global average pooling and a dense layer, which returns the logits."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, kernel_initializer=KAIMING, name="fc")(x)
