"""MobileNetV1 (Howard et al., arXiv 1704.04861) and MobileNetV2 (Sandler et al., CVPR 2018).

Both in a form that runtimes with sparse 1x1 convolutions can use (XNNPACK, where the processor is one that it has them
for): no biases before batch norm, depthwise and strided convolutions padded by 1 on every side, nothing but average
pooling between the last 1x1 convolution and the dense layer. Dropout, which some published trainings add, is left out.
"""

from __future__ import annotations

from typing import Any

import tf_keras

from dlth_tf.models.parts import classifier, conv, depthwise, image_input, normalise, one_of, scaled

layers = tf_keras.layers

STEMS = ("imagenet", "cifar")
# (channels, blocks) of each stage; the first block of a stage but the first has stride 2.
V1 = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))
# (expansion, channels, blocks, stride of the first): table 2 of the paper.
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v1(
    image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch", stem: str = "imagenet"
) -> tf_keras.Model:
    """MobileNetV1: 13 blocks of a depthwise and a 1x1 convolution.

    Args:
      image_shape: (height, width, channels); at least 17x17, with the CIFAR stem 5x5.
      classes: number of logits.
      width: multiplies the channels (the paper's alpha).
      norm: "batch" or "sync_batch".
      stem: "imagenet", or "cifar" with stride 1 instead of 2 in the first convolution and in the second stage.

    Raises:
      BadInput: images too small, or a width, norm or stem that is none.
    """
    inputs, x, small = _stem("mobilenet_v1", image_shape, width, norm, stem)
    for stage, (channels, blocks) in enumerate(V1, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 and stage > (2 if small else 1) else 1
            x = _separable(x, scaled(channels, width), stride, norm, f"stage{stage}_block{block}_")
    return tf_keras.Model(inputs, classifier(x, classes), name="mobilenet_v1")


def mobilenet_v2(
    image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch", stem: str = "imagenet"
) -> tf_keras.Model:
    """MobileNetV2: 17 inverted residual blocks.

    Args:
      image_shape: (height, width, channels); at least 17x17, with the CIFAR stem 5x5.
      classes: number of logits.
      width: multiplies all channels, without rounding to multiples of 8, and those of the last convolution too.
      norm: "batch" or "sync_batch".
      stem: "imagenet", or "cifar" with stride 1 instead of 2 in the first convolution and in the second stage.

    Raises:
      BadInput: images too small, or a width, norm or stem that is none.
    """
    inputs, x, small = _stem("mobilenet_v2", image_shape, width, norm, stem)
    for stage, (expansion, channels, blocks, stride) in enumerate(V2, start=1):
        for block in range(1, blocks + 1):
            here = stride if block == 1 and not (small and stage == 2) else 1
            x = _inverted(x, expansion, scaled(channels, width), here, norm, f"stage{stage}_block{block}_")
    x = _relu6(conv(x, scaled(1280, width), 1, "conv_last"), norm, "bn_last", "relu_last")
    return tf_keras.Model(inputs, classifier(x, classes), name="mobilenet_v2")


def _stem(name: str, image_shape: tuple[int, ...], width: float, norm: str, stem: str) -> tuple[Any, Any, bool]:
    """The input, the first features, and whether the stem is CIFAR's."""
    small = one_of("stem", stem, STEMS) == "cifar"
    inputs = image_input(name, image_shape, least=5 if small else 17)
    x = conv(inputs, scaled(32, width), 3, "conv1", 1 if small else 2)
    return inputs, _relu6(x, norm, "bn1", "relu1"), small


def _separable(x: Any, channels: int, stride: int, norm: str, prefix: str) -> Any:
    x = _depthwise(x, stride, norm, prefix)
    x = conv(x, channels, 1, f"{prefix}pointwise")
    return _relu6(x, norm, f"{prefix}pointwise_bn", f"{prefix}pointwise_relu")


def _inverted(x: Any, expansion: int, channels: int, stride: int, norm: str, prefix: str) -> Any:
    y = x
    if expansion > 1:
        y = conv(y, expansion * x.shape[-1], 1, f"{prefix}expand")
        y = _relu6(y, norm, f"{prefix}expand_bn", f"{prefix}expand_relu")
    y = _depthwise(y, stride, norm, prefix)
    y = normalise(conv(y, channels, 1, f"{prefix}project"), norm, f"{prefix}project_bn")
    return layers.Add(name=f"{prefix}add")([x, y]) if stride == 1 and x.shape[-1] == channels else y


def _depthwise(x: Any, stride: int, norm: str, prefix: str) -> Any:
    x = depthwise(x, f"{prefix}depthwise", stride)
    return _relu6(x, norm, f"{prefix}depthwise_bn", f"{prefix}depthwise_relu")


def _relu6(x: Any, norm: str, bn: str, relu: str) -> Any:
    return layers.ReLU(6.0, name=relu)(normalise(x, norm, bn))
