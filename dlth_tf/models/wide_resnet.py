"""Wide residual networks (Zagoruyko and Komodakis, BMVC 2016)."""

from __future__ import annotations

from functools import partial
from typing import Any

import tf_keras

from dlth_tf.models.parts import ConvBlock, classifier, image_input, one_of

layers = tf_keras.layers


def wide_resnet(
    depth: int, factor: int, image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch"
) -> tf_keras.Model:
    """Builds WRN-depth-factor: batch norm and ReLU before each convolution, no dropout.

    Args:
      depth: Number of layers, 6n + 4 for n blocks in each of the three stages.
      factor: The paper's k: the stages have 16k, 32k and 64k channels.
      image_shape: Height, width and channels, at least 3x3.
      classes: Number of logits.
      width: Factor of all numbers of channels, above 0; it applies to the first convolution too.
      norm: "batch" or "sync_batch".

    Raises:
      BadInput: If the images are too small, or `width` or `norm` is invalid.
    """
    name = f"wrn_{depth}_{factor}"
    inputs = image_input(name, image_shape, least=3)
    whole = ConvBlock(width, one_of("norm", norm, ("batch", "sync_batch")))
    x = whole.conv(inputs, whole.scaled(16), 3, "conv1")
    for stage, channels in enumerate((16, 32, 64), start=1):
        for number in range(1, (depth - 4) // 6 + 1):
            block = ConvBlock(width, norm, f"stage{stage}_block{number}_")
            stride = 2 if stage > 1 and number == 1 else 1
            x = _residual(x, block.scaled(channels * factor), stride, block)
    x = whole.relu(whole.normalize(x, "bn_last"), "relu_last")
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


def _residual(x: Any, channels: int, stride: int, block: ConvBlock) -> Any:
    active = block.relu(block.normalize(x, "bn1"), "relu1")
    y = block.conv(active, channels, 3, "conv1", stride)
    y = block.relu(block.normalize(y, "bn2"), "relu2")
    y = block.conv(y, channels, 3, "conv2")
    if stride > 1 or x.shape[-1] != channels:
        x = block.conv(active, channels, 1, "shortcut", stride)
    return layers.Add(name=f"{block.prefix}add")([y, x])


wrn_16_2 = partial(wide_resnet, 16, 2)
wrn_22_2 = partial(wide_resnet, 22, 2)
wrn_28_10 = partial(wide_resnet, 28, 10)
