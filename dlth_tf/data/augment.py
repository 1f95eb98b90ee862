"""Random changes to training images, as stateless functions of whole uint8 batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf

PAD = 4  # pixels on every side: the recipe of the residual network paper (He et al., CVPR 2016, section 4.2) for CIFAR

AUGMENTS = Registry("augment", {name: f"{__name__}:{name}" for name in ("none", "crop_flip")})


def none(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The images as they are."""
    del seed
    return images


def crop_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Pads with zeros, cuts the old size out at a random place, and mirrors half of the images left to right.

    Every image draws its own place and side. Cut and mirror are two gathers of rows and columns for the whole batch at
    once, several times as fast as one image after the other.

    Args:
      images: uint8 [B, H, W, C] with H, W known while the graph is built.
      seed: int64 [2]; the same seed gives the same batch on every device.

    Returns:
      uint8 [B, H, W, C].
    """
    import tensorflow as tf

    height, width = images.shape[1:3]
    places = 2 * PAD + 1
    # One draw per image decides all three: there are 2 x 9 x 9 outcomes, each as likely as the others.
    draw = tf.random.stateless_uniform([tf.shape(images)[0], 1], seed, 0, 2 * places * places, tf.int32, alg="philox")
    mirrored, top, left = draw % 2 == 1, draw // 2 % places, draw // (2 * places)
    rows = top + tf.range(height)
    columns = left + tf.where(mirrored, tf.range(width - 1, -1, -1), tf.range(width))
    padded = tf.pad(images, [[0, 0], [PAD, PAD], [PAD, PAD], [0, 0]])
    return tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
