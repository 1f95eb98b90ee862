"""The ResNets for ImageNet (He et al., CVPR 2016, table 1)."""

from __future__ import annotations

from functools import partial
from typing import Any

import tf_keras

from dlth_tf.models.parts import ConvBlock, classifier, image_input, one_of

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
    """Builds ResNet-18, 34 or 50; the stride of a bottleneck is in its 3x3 convolution, as in PyTorch's networks.

    Args:
      depth: 18, 34 (two 3x3 convolutions in a block) or 50 (bottlenecks).
      image_shape: Height, width and channels; at least 17x17, with the CIFAR stem 5x5.
      classes: Number of logits.
      width: Factor of the numbers of channels, above 0.
      norm: "batch" or "sync_batch".
      stem: "imagenet" for a 7x7 convolution of stride 2 and max pooling, "cifar" for one 3x3 convolution of stride 1.

    Raises:
      BadInput: If the images are too small, or `width`, `norm` or `stem` is invalid.
    """
    name = f"resnet{depth}"
    large = one_of("stem", stem, STEMS) == "imagenet"
    inputs = image_input(name, image_shape, least=17 if large else 5)
    x = _stem(inputs, large, ConvBlock(width, one_of("norm", norm, ("batch", "sync_batch"))))
    residual = _bottleneck if depth >= 50 else _basic
    for stage, (channels, blocks) in enumerate(zip(CHANNELS, BLOCKS[depth], strict=True), start=1):
        for number in range(1, blocks + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            x = residual(x, channels, stride, ConvBlock(width, norm, f"stage{stage}_block{number}_"))
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


def _stem(x: Any, large: bool, block: ConvBlock) -> Any:
    if not large:
        return block.conv_norm_relu(x, block.scaled(64), 3, 1)
    x = block.conv_norm_relu(x, block.scaled(64), 7, 1, stride=2)
    x = layers.ZeroPadding2D(1, name="pool1_padding")(x)  # after a ReLU zeros are as good as PyTorch's minus infinity
    return layers.MaxPooling2D(3, 2, name="pool1")(x)


def _basic(x: Any, channels: int, stride: int, block: ConvBlock) -> Any:
    y = block.conv_norm_relu(x, block.scaled(channels), 3, 1, stride)
    y = block.normalize(block.conv(y, block.scaled(channels), 3, "conv2"), "bn2")
    return block.relu(_add(x, y, stride, block), "relu2")


def _bottleneck(x: Any, channels: int, stride: int, block: ConvBlock) -> Any:
    y = block.conv_norm_relu(x, block.scaled(channels), 1, 1)
    y = block.conv_norm_relu(y, block.scaled(channels), 3, 2, stride)
    y = block.normalize(block.conv(y, block.scaled(4 * channels), 1, "conv3"), "bn3")
    return block.relu(_add(x, y, stride, block), "relu3")


def _add(x: Any, y: Any, stride: int, block: ConvBlock) -> Any:
    """Returns y plus the shortcut, which is a 1x1 convolution where the shape changes (option B)."""
    if stride > 1 or x.shape[-1] != y.shape[-1]:
        x = block.normalize(block.conv(x, y.shape[-1], 1, "shortcut", stride), "shortcut_bn")
    return layers.Add(name=f"{block.prefix}add")([y, x])


resnet18 = partial(resnet, 18)
resnet34 = partial(resnet, 34)
resnet50 = partial(resnet, 50)
