"""The VGG networks in the form that pruning papers use on CIFAR: batch norm, and one dense layer at the end."""

from __future__ import annotations

from functools import partial

import tf_keras

from dlth_tf.models.parts import ConvBlock, classifier, image_input, one_of

layers = tf_keras.layers

# Configurations A, B, D and E of Simonyan and Zisserman, ICLR 2015, table 1: convolutions in each stage.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def vgg(
    depth: int, image_shape: tuple[int, ...], classes: int, width: float = 1.0, norm: str = "batch"
) -> tf_keras.Model:
    """Builds a VGG network; the output of the five poolings is averaged over the image and fed to one dense layer.

    Args:
      depth: 11, 13, 16 or 19, the published number of layers (one of the three published dense layers is kept).
      image_shape: Height, width and channels, at least 17x17.
      classes: Number of logits.
      width: Factor of the numbers of channels, above 0.
      norm: "batch", "sync_batch", or "none" for convolutions with biases and no batch norm, as first published.

    Raises:
      BadInput: If the images are too small, or `width` or `norm` is invalid.
    """
    name = f"vgg{depth}"
    one_of("norm", norm, ("batch", "sync_batch", "none"))
    x = inputs = image_input(name, image_shape, least=17)
    for stage, (channels, convolutions) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1):
        block = ConvBlock(width, norm, f"stage{stage}_")
        for number in range(1, convolutions + 1):
            x = block.conv_norm_relu(x, block.scaled(channels), 3, number)
        # Padded, so that the last row of an odd size counts too: 28 pixels come to that.
        x = layers.MaxPooling2D(padding="same", name=f"stage{stage}_pool")(x)
    return tf_keras.Model(inputs, classifier(x, classes), name=name)


vgg11 = partial(vgg, 11)
vgg13 = partial(vgg, 13)
vgg16 = partial(vgg, 16)
vgg19 = partial(vgg, 19)
