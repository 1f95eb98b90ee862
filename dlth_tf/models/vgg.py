"""The VGG networks in the form that pruning papers use on CIFAR: batch norm, and one dense layer at the end."""

from __future__ import annotations

from functools import partial
from typing import Any

import tf_keras

from dlth_tf.models.parts import classifier, conv, conv_norm_relu, image_input, one_of, scaled

layers = tf_keras.layers

# Configurations A, B, D and E of Simonyan and Zisserman, ICLR 2015, table 1: convolutions in each stage.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def vgg(
    depth: int, image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch"
) -> tf_keras.Model:
    """A VGG network; what the five poolings leave is averaged over the image and goes into one dense layer.

    Args:
      depth: 11, 13, 16 or 19, the published number of layers (of the three dense layers there, one is left here).
      image_shape: (height, width, channels), at least 17x17.
      classes: number of logits.
      width: multiplies the channels.
      norm: "batch", "sync_batch", or "none" for convolutions with biases and no batch norm, as first published.

    Raises:
      BadInput: images too small, or a width or norm that is none.
    """
    name = f"vgg{depth}"
    one_of("norm", norm, ("batch", "sync_batch", "none"))
    x = inputs = image_input(name, image_shape, least=17)
    for stage, (channels, number) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1):
        for layer in range(1, number + 1):
            x = _conv(x, scaled(channels, width), norm, f"stage{stage}_", layer)
        x = layers.MaxPooling2D(padding="same", name=f"stage{stage}_pool")(
            x
        )  # of an odd size the last row counts too: 28 pixels do
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


def _conv(x: Any, channels: int, norm: str, prefix: str, number: int) -> Any:
    if norm != "none":
        return conv_norm_relu(x, channels, 3, norm, prefix, number)
    return layers.ReLU(name=f"{prefix}relu{number}")(conv(x, channels, 3, f"{prefix}conv{number}", use_bias=True))


vgg11 = partial(vgg, 11)
vgg13 = partial(vgg, 13)
vgg16 = partial(vgg, 16)
vgg19 = partial(vgg, 19)
