"""The ResNets for CIFAR: 6n + 2 layers in three stages (He et al., CVPR 2016, section 4.2)."""

from __future__ import annotations

from functools import partial
from typing import Any

import tf_keras

from dlth_tf.models.parts import ConvBlock, classifier, image_input, one_of

layers = tf_keras.layers


def cifar_resnet(
    depth: int, image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch"
) -> tf_keras.Model:
    """Builds a ResNet with stages of 16, 32 and 64 channels and shortcuts without parameters (option A).

    It agrees with the official PyTorch network of the paper (`tests/models/test_official_resnet.py`). Weights are
    Kaiming normal, those of the last layer too; its bias starts at zero, which is our choice.

    Args:
      depth: Number of layers, 6n + 2 for n blocks in each stage.
      image_shape: Height, width and channels, at least 3x3.
      classes: Number of logits.
      width: Factor of the numbers of channels, above 0.
      norm: "batch" or "sync_batch".

    Raises:
      BadInput: If the images are too small, or `width` or `norm` is invalid.
    """
    name = f"resnet{depth}"
    inputs = image_input(name, image_shape, least=3)
    stem = ConvBlock(width, one_of("norm", norm, ("batch", "sync_batch")))
    x = stem.conv_norm_relu(inputs, stem.scaled(16), 3, 1)
    for stage, channels in enumerate((16, 32, 64), start=1):
        for number in range(1, (depth - 2) // 6 + 1):
            block = ConvBlock(width, norm, f"stage{stage}_block{number}_")
            stride = 2 if stage > 1 and number == 1 else 1
            x = _residual(x, block.scaled(channels), stride, block)
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


def _residual(x: Any, channels: int, stride: int, block: ConvBlock) -> Any:
    y = block.conv_norm_relu(x, channels, 3, 1, stride)
    y = block.normalize(block.conv(y, channels, 3, "conv2"), "bn2")
    if stride > 1:
        x = _shortcut(x, channels, f"{block.prefix}shortcut")
    return block.relu(layers.Add(name=f"{block.prefix}add")([y, x]), "relu2")


def _shortcut(x: Any, channels: int, name: str) -> Any:
    """Returns every second pixel, with zeros for the new channels, half of them on either side (option A).

    Both are stock layers, so a saved model needs none of our code. Pooling single pixels takes every second one. And
    where the channels come last, "channels_first" makes ZeroPadding2D pad the last two axes, width and channels; one
    Pad operation, against four transpositions and reshapes around ZeroPadding1D (measured on ResNet-20: a smaller
    graph, 8 % less time; a custom layer with a strided slice is not faster).
    """
    x = layers.AveragePooling2D(1, 2, name=f"{name}_pool")(x)
    new = channels - x.shape[-1]
    if new == 0:  # in a very thin network
        return x
    return layers.ZeroPadding2D(((0, 0), (new // 2, new - new // 2)), data_format="channels_first", name=name)(x)


resnet8 = partial(cifar_resnet, 8)
resnet20 = partial(cifar_resnet, 20)
resnet32 = partial(cifar_resnet, 32)
resnet44 = partial(cifar_resnet, 44)
resnet56 = partial(cifar_resnet, 56)
resnet110 = partial(cifar_resnet, 110)
