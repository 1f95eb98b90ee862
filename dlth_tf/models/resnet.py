"""The ResNets for ImageNet (He et al., CVPR 2016, table 1)."""

from __future__ import annotations

from functools import partial
from typing import Any

import tf_keras

from dlth_tf.models.parts import classifier, conv, conv_norm_relu, image_input, normalise, one_of, scaled

layers = tf_keras.layers

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
CHANNELS = (64, 128, 256, 512)
STEMS = ("imagenet", "cifar")


def resnet(
    depth: int,
    image_shape: tuple[int, ...],
    classes: int,
    width: float = 1.0,
    norm: str = "batch",
    stem: str = "imagenet",
) -> tf_keras.Model:
    """ResNet-18, 34 or 50. The stride of a bottleneck is in its 3x3 convolution, as in PyTorch's networks.

    Args:
      depth: 18, 34 (two 3x3 convolutions in a block) or 50 (bottlenecks).
      image_shape: (height, width, channels); at least 17x17, with the CIFAR stem 5x5.
      classes: number of logits.
      width: multiplies the channels.
      norm: "batch" or "sync_batch".
      stem: "imagenet" for a 7x7 convolution of stride 2 and max pooling, "cifar" for one 3x3 convolution of stride 1.

    Raises:
      BadInput: images too small, or a width, norm or stem that is none.
    """
    name = f"resnet{depth}"
    large = one_of("stem", stem, STEMS) == "imagenet"
    inputs = image_input(name, image_shape, least=17 if large else 5)
    x = (
        _imagenet_stem(inputs, scaled(64, width), norm)
        if large
        else conv_norm_relu(inputs, scaled(64, width), 3, norm, "", 1)
    )
    block_of = _bottleneck if depth >= 50 else _basic
    for stage, (channels, blocks) in enumerate(zip(CHANNELS, BLOCKS[depth], strict=True), start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = block_of(x, channels, width, stride, norm, f"stage{stage}_block{block}_")
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


def _imagenet_stem(x: Any, channels: int, norm: str) -> Any:
    x = conv_norm_relu(x, channels, 7, norm, "", 1, stride=2)
    x = layers.ZeroPadding2D(1, name="pool1_padding")(x)  # after a ReLU zeros are as good as PyTorch's minus infinity
    return layers.MaxPooling2D(3, 2, name="pool1")(x)


def _basic(x: Any, channels: int, width: float, stride: int, norm: str, prefix: str) -> Any:
    channels = scaled(channels, width)
    y = conv_norm_relu(x, channels, 3, norm, prefix, 1, stride)
    y = normalise(conv(y, channels, 3, f"{prefix}conv2"), norm, f"{prefix}bn2")
    return _add(x, y, stride, norm, prefix, "relu2")


def _bottleneck(x: Any, channels: int, width: float, stride: int, norm: str, prefix: str) -> Any:
    y = conv_norm_relu(x, scaled(channels, width), 1, norm, prefix, 1)
    y = conv_norm_relu(y, scaled(channels, width), 3, norm, prefix, 2, stride)
    y = normalise(conv(y, scaled(4 * channels, width), 1, f"{prefix}conv3"), norm, f"{prefix}bn3")
    return _add(x, y, stride, norm, prefix, "relu3")


def _add(x: Any, y: Any, stride: int, norm: str, prefix: str, relu: str) -> Any:
    """ReLU(y + shortcut), a 1x1 convolution where the shape changes (option B)."""
    if stride > 1 or x.shape[-1] != y.shape[-1]:
        x = normalise(conv(x, y.shape[-1], 1, f"{prefix}shortcut", stride), norm, f"{prefix}shortcut_bn")
    return layers.ReLU(name=prefix + relu)(layers.Add(name=f"{prefix}add")([y, x]))


resnet18 = partial(resnet, 18)
resnet34 = partial(resnet, 34)
resnet50 = partial(resnet, 50)
