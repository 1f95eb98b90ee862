"""Augmentations that blank or mix parts of images, as stateless functions of whole batches.

keras-cv has layers of these names. Its CutMix and MixUp draw with TensorFlow's global generator, whose position no argument can
set, so a resumed run would see other images; and its CutMix weighs the labels with the rectangle's size before the border of the
image cuts it off, so that a label says more of the other image than there is. These draw from (seed, step) and count the pixels.
Its RandomCutout could be made to draw so, but a square of fixed size is one line beside them.
"""

from __future__ import annotations

import tensorflow as tf

MIXUP_ALPHA = 0.2  # Zhang et al., ICLR 2018, for ImageNet
CUTOUT_SIDE = 0.5  # of the image: 16 of 32 pixels, DeVries and Taylor 2017 for CIFAR-10


def cutout(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Blackens a square of half the image's side around a random pixel (DeVries and Taylor, arXiv 1708.04552).

    Args:
      images: uint8 or float32 [B, H, W, C].
      seed: int64 [2].
      value_range: not used: zero is black in every range.

    Returns:
      [B, H, W, C] of the same dtype.
    """
    del value_range
    count, height, width = tf.unstack(tf.shape(images)[:3])
    side = tf.ones([count]) * CUTOUT_SIDE
    inside = rectangles(count, height, width, side, side, seed)
    return tf.where(inside[..., None], tf.zeros([], images.dtype), images)


def cutmix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes a rectangle of another image of the batch into each (Yun et al., ICCV 2019, arXiv 1905.04899).

    The rectangle's share of the area is 1 - lambda, with lambda uniform on (0, 1): the paper's Beta(1, 1). Its centre is any
    pixel, and what lies beyond the border is cut off; then a label is weighed by the pixels that it really has.

    Args:
      images: uint8 or float32 [B, H, W, C].
      labels: float32 [B, classes].
      seed: int64 [2].

    Returns:
      (images of the same dtype, labels float32 [B, classes]).
    """
    count, height, width = tf.unstack(tf.shape(images)[:3])
    partner, share, place = _three(seed)
    other = partners(count, partner)
    side = tf.sqrt(1 - tf.random.stateless_uniform([count], share, alg="philox"))
    inside = rectangles(count, height, width, side, side, place)
    kept = 1 - tf.reduce_mean(tf.cast(inside, tf.float32), axis=[1, 2])
    return tf.where(inside[..., None], tf.gather(images, other), images), _blend(labels, other, kept[:, None])


def mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Each image becomes lambda of itself and 1 - lambda of another of the batch, and so does its label (Zhang et al., ICLR 2018).

    Lambda is drawn for each image from Beta(.2, .2), as the quotient of two gamma variables.

    Args:
      images: uint8 or float32 [B, H, W, C].
      labels: float32 [B, classes].
      seed: int64 [2].

    Returns:
      (images float32, labels float32 [B, classes]).
    """
    count = tf.shape(images)[0]
    partner, share, _ = _three(seed)
    other = partners(count, partner)
    # In float64, where both variables cannot be 0 at once.
    first, second = tf.unstack(tf.random.stateless_gamma([2, count], share, alpha=MIXUP_ALPHA, dtype=tf.float64))
    kept = tf.cast(first / (first + second), tf.float32)
    return _blend(tf.cast(images, tf.float32), other, kept[:, None, None, None]), _blend(labels, other, kept[:, None])


def partners(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """int32 [count]: with which image each one is mixed, a permutation."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed)


def rectangles(
    count: tf.Tensor, height: tf.Tensor, width: tf.Tensor, high: tf.Tensor, wide: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """bool [count, height, width]: inside a rectangle around a random pixel, cut off at the border.

    Args:
      count: how many.
      height: pixels.
      width: pixels.
      high: float32 [count], the rectangles' share of the height.
      wide: float32 [count], the rectangles' share of the width.
      seed: int64 [2].
    """
    centres = tf.random.stateless_uniform([2, count], seed, alg="philox")

    def within(size: tf.Tensor, centre: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        length = tf.cast(share * tf.cast(size, tf.float32), tf.int32)
        start = tf.cast(centre * tf.cast(size, tf.float32), tf.int32) - length // 2
        pixels = tf.range(size)[None]
        return (pixels >= start[:, None]) & (pixels < (start + length)[:, None])

    return within(height, centres[0], high)[:, :, None] & within(width, centres[1], wide)[:, None, :]


def _blend(values: tf.Tensor, other: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    return kept * values + (1 - kept) * tf.gather(values, other)


def _three(seed: tf.Tensor) -> list[tf.Tensor]:
    return tf.unstack(tf.random.experimental.stateless_split(seed, 3))
