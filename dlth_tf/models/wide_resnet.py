"""Wide residual networks (Zagoruyko and Komodakis, BMVC 2016)."""

from __future__ import annotations

from functools import partial
from typing import Any

import tf_keras

from dlth_tf.models.parts import classifier, conv, image_input, normalise, scaled

layers = tf_keras.layers


def wide_resnet(
    depth: int, factor: int, image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch"
) -> tf_keras.Model:
    """WRN-depth-factor: batch norm and ReLU before each convolution, no dropout.

    Args:
      depth: 6n + 4 for n blocks in each of the three stages.
      factor: the paper's k: the stages have 16k, 32k and 64k channels.
      image_shape: (height, width, channels), at least 3x3.
      classes: number of logits.
      width: multiplies all channels once more, those of the first convolution too.
      norm: "batch" or "sync_batch".

    Raises:
      BadInput: images too small, or a width or norm that is none.
    """
    name = f"wrn_{depth}_{factor}"
    inputs = image_input(name, image_shape, least=3)
    x = conv(inputs, scaled(16, width), 3, "conv1")
    for stage, channels in enumerate((16, 32, 64), start=1):
        for block in range(1, (depth - 4) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, scaled(channels * factor, width), stride, norm, f"stage{stage}_block{block}_")
    x = layers.ReLU(name="relu_last")(normalise(x, norm, "bn_last"))
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


def _block(x: Any, channels: int, stride: int, norm: str, prefix: str) -> Any:
    active = layers.ReLU(name=f"{prefix}relu1")(normalise(x, norm, f"{prefix}bn1"))
    y = conv(active, channels, 3, f"{prefix}conv1", stride)
    y = layers.ReLU(name=f"{prefix}relu2")(normalise(y, norm, f"{prefix}bn2"))
    y = conv(y, channels, 3, f"{prefix}conv2")
    if stride > 1 or x.shape[-1] != channels:
        x = conv(active, channels, 1, f"{prefix}shortcut", stride)
    return layers.Add(name=f"{prefix}add")([y, x])


wrn_16_2 = partial(wide_resnet, 16, 2)
wrn_22_2 = partial(wide_resnet, 22, 2)
wrn_28_10 = partial(wide_resnet, 28, 10)
