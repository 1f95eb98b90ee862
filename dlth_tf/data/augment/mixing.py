"""Augmentations that blank or mix parts of images, as stateless functions of whole batches.

keras-cv has layers of these names. Its CutMix and MixUp draw from TensorFlow's global generator, whose position no
argument can set, so a resumed run would see other images; and its CutMix weighs the labels by the size of the rectangle
before the border of the image clips it, so that a label names more of the other image than was pasted. The functions
here draw from (seed, step) and count the pixels. keras-cv's RandomCutout could be made to draw in the same way, but a
square of fixed size needs only one more line here.
"""

from __future__ import annotations

import tensorflow as tf

MIXUP_ALPHA = 0.2  # Zhang et al., ICLR 2018, for ImageNet
CUTOUT_SIDE = 0.5  # of the image: 16 of 32 pixels, DeVries and Taylor 2017 for CIFAR-10


def cutout(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Blackens a square of half the image's side around a random pixel (DeVries and Taylor, arXiv 1708.04552).

    Args:
      images: Batch of images, uint8 or float32 [B, H, W, C].
      seed: Seed of the draws, int64 [2].
      value_range: Not used: zero is black in every range.

    Returns:
      The augmented images, [B, H, W, C] of the same dtype.
    """
    del value_range
    size = tf.shape(images)[:3]
    inside = rectangles(size, tf.ones([size[0]]) * CUTOUT_SIDE, seed)
    return tf.where(inside[..., None], tf.zeros([], images.dtype), images)


def cutmix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes a rectangle of another image of the batch into each (Yun et al., ICCV 2019, arXiv 1905.04899).

    The rectangle's share of the area is 1 - lambda, with lambda uniform on (0, 1): the paper's Beta(1, 1). Its center
    is a random pixel, and the border of the image clips it; the labels are weighed by the pixels that remain.

    Args:
      images: Batch of images, uint8 or float32 [B, H, W, C].
      labels: Class probabilities, float32 [B, classes].
      seed: Seed of the draws, int64 [2].

    Returns:
      (images of the same dtype, labels float32 [B, classes]).
    """
    size = tf.shape(images)[:3]
    count = size[0]
    partner_seed, share_seed, place_seed = _three_seeds(seed)
    other = partners(count, partner_seed)
    side = tf.sqrt(1 - tf.random.stateless_uniform([count], share_seed, alg="philox"))
    inside = rectangles(size, side, place_seed)
    kept = 1 - tf.reduce_mean(tf.cast(inside, tf.float32), axis=[1, 2])
    return tf.where(inside[..., None], tf.gather(images, other), images), _blend(labels, other, kept[:, None])


def mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Blends each image, and its label, with another image of the batch (Zhang et al., ICLR 2018).

    An image keeps the share lambda and takes 1 - lambda of the other one. Lambda is drawn for each image from Beta(.2,
    .2), as the quotient of two gamma variables.

    Args:
      images: Batch of images, uint8 or float32 [B, H, W, C].
      labels: Class probabilities, float32 [B, classes].
      seed: Seed of the draws, int64 [2].

    Returns:
      (images float32 [B, H, W, C], labels float32 [B, classes]).
    """
    count = tf.shape(images)[0]
    partner_seed, share_seed, _ = _three_seeds(seed)
    other = partners(count, partner_seed)
    # In float64, where both variables cannot be 0 at once.
    first, second = tf.unstack(tf.random.stateless_gamma([2, count], share_seed, alpha=MIXUP_ALPHA, dtype=tf.float64))
    kept = tf.cast(first / (first + second), tf.float32)
    return _blend(tf.cast(images, tf.float32), other, kept[:, None, None, None]), _blend(labels, other, kept[:, None])


def partners(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns a random permutation, int32 [count]: the number of the image that each image is mixed with."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed)


def rectangles(size: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns masks of one rectangle per image, centered on a random pixel and clipped at the border.

    Args:
      size: Number of images, height and width in pixels, int32 [3].
      share: Each rectangle's share of the height and of the width, float32 [B].
      seed: Seed of the draws, int64 [2].

    Returns:
      Masks that are True inside the rectangle, bool [B, H, W].
    """
    count, height, width = tf.unstack(size)
    centers = tf.random.stateless_uniform([2, count], seed, alg="philox")

    def within(pixels: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
        length = tf.cast(share * tf.cast(pixels, tf.float32), tf.int32)
        start = tf.cast(center * tf.cast(pixels, tf.float32), tf.int32) - length // 2
        numbers = tf.range(pixels)[None]
        return (numbers >= start[:, None]) & (numbers < (start + length)[:, None])

    return within(height, centers[0])[:, :, None] & within(width, centers[1])[:, None, :]


def _blend(values: tf.Tensor, other: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    return kept * values + (1 - kept) * tf.gather(values, other)


def _three_seeds(seed: tf.Tensor) -> list[tf.Tensor]:
    return tf.unstack(tf.random.experimental.stateless_split(seed, 3))
