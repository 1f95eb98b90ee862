"""Augmentations that cut and mirror, as stateless functions of whole batches."""

from __future__ import annotations

import tensorflow as tf

PAD = 4  # pixels on every side: the recipe of the residual network paper (He et al., CVPR 2016, section 4.2) for CIFAR
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # of the cut: Szegedy et al., CVPR 2015, section 6


def none(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """The images as they are."""
    del seed, value_range
    return images


def crop_flip(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Pads with zeros, cuts the old size out at a random place, and mirrors half of the images left to right.

    Every image draws its own place and side. Nothing is really padded: one gather takes the pixels of the whole batch, those beyond
    an edge from a black one, several times as fast as one image after the other.

    Args:
      images: uint8 [B, H, W, C] with H, W, C known while the graph is built.
      seed: int64 [2]; the same seed gives the same batch on every device.
      value_range: not used: zero is black in every range.

    Returns:
      uint8 [B, H, W, C].
    """
    del value_range
    height, width, channels = images.shape[1:]
    number, places = tf.shape(images)[0], 2 * PAD + 1
    # One draw per image decides all three: there are 2 x 9 x 9 outcomes, each as likely as the others.
    draw = tf.random.stateless_uniform([number, 1], seed, 0, 2 * places * places, tf.int32, alg="philox")
    mirrored, top, left = draw % 2 == 1, draw // 2 % places, draw // (2 * places)
    rows = top - PAD + tf.range(height)
    columns = left - PAD + tf.where(mirrored, tf.range(width - 1, -1, -1), tf.range(width))
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    pixels = tf.concat([tf.reshape(images, [-1, channels]), tf.zeros([1, channels], images.dtype)], 0)
    chosen = ((tf.range(number)[:, None] * height + rows) * width)[:, :, None] + columns[:, None, :]
    return tf.gather(pixels, tf.where(inside, chosen, number * height * width))


def resized_crop(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Cuts a random part out of each image, stretches it to the old size, and mirrors half of them: the ImageNet recipe.

    Of images on disk the pipeline cuts while it decodes, from the whole picture, with `random_box` and `mirrored` as here.

    Args:
      images: uint8 [B, H, W, C] with H, W, C known while the graph is built.
      seed: int64 [2].
      value_range: not used.

    Returns:
      uint8 [B, H, W, C].
    """
    del value_range
    height, width, channels = images.shape[1:]

    def one(both: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, words = both
        top, left, high, wide = tf.unstack(random_box(tf.shape(image), words))
        cut = tf.ensure_shape(
            resized(image[top : top + high, left : left + wide], (height, width)), [height, width, channels]
        )
        return mirrored(cut, words)

    seeds = tf.random.experimental.stateless_split(seed, tf.shape(images)[0])
    return tf.map_fn(one, (images, seeds), fn_output_signature=tf.TensorSpec([height, width, channels], tf.uint8))


def random_box(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """int32 [4]: top, left, height and width of a part with 8 % to 100 % of the area and an aspect ratio from 3:4 to 4:3."""
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros([1, 0, 4]),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=ASPECT,
        area_range=AREA,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], 0)


def mirrored(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The image [H, W, C], or its mirror image, by a coin that `seed` tosses."""
    coin = tf.random.stateless_uniform(
        [], tf.random.experimental.stateless_fold_in(seed, 1), 0, 2, tf.int32, alg="philox"
    )
    return tf.cond(coin == 1, lambda: image[:, ::-1], lambda: image)


def resized(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Bilinear with antialiasing, as the official PyTorch code's image library does it; rounded to uint8."""
    return tf.cast(tf.clip_by_value(tf.round(tf.image.resize(image, size, antialias=True)), 0, 255), tf.uint8)
