"""MobileNetV1 (Howard et al., arXiv 1704.04861) and MobileNetV2 (Sandler et al., CVPR 2018).

Both in a form that runtimes with sparse 1x1 convolutions can use (XNNPACK, on processors for which it has them): no
biases before batch norm, depthwise and strided convolutions padded by 1 on every side, nothing but average pooling
between the last 1x1 convolution and the dense layer. Dropout, which some published trainings add, is left out.
"""

from __future__ import annotations

from typing import Any

import tf_keras

from dlth_tf.models.parts import ConvBlock, classifier, image_input, one_of

layers = tf_keras.layers

STEMS = ("imagenet", "cifar")
# (channels, blocks) of each stage; the first block of a stage but the first has stride 2.
V1 = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))
# (expansion, channels, blocks, stride of the first): table 2 of the paper.
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v1(
    image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch", stem: str = "imagenet"
) -> tf_keras.Model:
    """Builds MobileNetV1: 13 blocks of a depthwise and a 1x1 convolution.

    Args:
      image_shape: Height, width and channels; at least 17x17, with the CIFAR stem 5x5.
      classes: Number of logits.
      width: Factor of the numbers of channels, above 0 (the paper's alpha).
      norm: "batch" or "sync_batch".
      stem: "imagenet", or "cifar" with stride 1 instead of 2 in the first convolution and in the second stage.

    Raises:
      BadInput: If the images are too small, or `width`, `norm` or `stem` is invalid.
    """
    small = one_of("stem", stem, STEMS) == "cifar"
    inputs = image_input("mobilenet_v1", image_shape, least=5 if small else 17)
    x = _stem(inputs, small, ConvBlock(width, norm))
    for stage, (channels, blocks) in enumerate(V1, start=1):
        for number in range(1, blocks + 1):
            block = ConvBlock(width, norm, f"stage{stage}_block{number}_")
            stride = 2 if number == 1 and stage > (2 if small else 1) else 1
            x = _separable(x, block.scaled(channels), stride, block)
    return tf_keras.Model(inputs, classifier(x, classes), name="mobilenet_v1")


def mobilenet_v2(
    image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch", stem: str = "imagenet"
) -> tf_keras.Model:
    """Builds MobileNetV2: 17 inverted residual blocks.

    Args:
      image_shape: Height, width and channels; at least 17x17, with the CIFAR stem 5x5.
      classes: Number of logits.
      width: Factor of all numbers of channels, above 0, without rounding to multiples of 8; it applies to the last
        convolution too.
      norm: "batch" or "sync_batch".
      stem: "imagenet", or "cifar" with stride 1 instead of 2 in the first convolution and in the second stage.

    Raises:
      BadInput: If the images are too small, or `width`, `norm` or `stem` is invalid.
    """
    small = one_of("stem", stem, STEMS) == "cifar"
    inputs = image_input("mobilenet_v2", image_shape, least=5 if small else 17)
    whole = ConvBlock(width, norm)
    x = _stem(inputs, small, whole)
    for stage, (expansion, channels, blocks, stride) in enumerate(V2, start=1):
        for number in range(1, blocks + 1):
            block = ConvBlock(width, norm, f"stage{stage}_block{number}_")
            first_stride = 1 if small and stage == 2 else stride
            x = _inverted(x, expansion, block.scaled(channels), first_stride if number == 1 else 1, block)
    x = _norm_relu6(whole.conv(x, whole.scaled(1280), 1, "conv_last"), whole, "bn_last", "relu_last")
    return tf_keras.Model(inputs, classifier(x, classes), name="mobilenet_v2")


def _stem(x: Any, small: bool, block: ConvBlock) -> Any:
    x = block.conv(x, block.scaled(32), 3, "conv1", 1 if small else 2)
    return _norm_relu6(x, block, "bn1", "relu1")


def _separable(x: Any, channels: int, stride: int, block: ConvBlock) -> Any:
    x = _depthwise(x, stride, block)
    x = block.conv(x, channels, 1, "pointwise")
    return _norm_relu6(x, block, "pointwise_bn", "pointwise_relu")


def _inverted(x: Any, expansion: int, channels: int, stride: int, block: ConvBlock) -> Any:
    y = x
    if expansion > 1:
        y = block.conv(y, expansion * x.shape[-1], 1, "expand")
        y = _norm_relu6(y, block, "expand_bn", "expand_relu")
    y = _depthwise(y, stride, block)
    y = block.normalize(block.conv(y, channels, 1, "project"), "project_bn")
    if stride > 1 or x.shape[-1] != channels:
        return y
    return layers.Add(name=f"{block.prefix}add")([x, y])


def _depthwise(x: Any, stride: int, block: ConvBlock) -> Any:
    x = block.depthwise(x, "depthwise", stride)
    return _norm_relu6(x, block, "depthwise_bn", "depthwise_relu")


def _norm_relu6(x: Any, block: ConvBlock, norm_name: str, relu_name: str) -> Any:
    return block.relu(block.normalize(x, norm_name), relu_name, limit=6.0)
