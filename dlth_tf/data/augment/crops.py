"""Augmentations that crop and mirror, as stateless functions of whole batches."""

from __future__ import annotations

import tensorflow as tf

PAD = 4  # pixels on every side: the recipe of the residual network paper (He et al., CVPR 2016, section 4.2) for CIFAR
AREA = (0.08, 1.0)  # share of the image that a random crop covers: Szegedy et al., CVPR 2015, section 6
ASPECT = (3 / 4, 4 / 3)  # width to height of a random crop, from the same section


def none(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Returns the images unchanged."""
    del seed, value_range
    return images


def crop_flip(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Pads with zeros, crops the old size at a random place, and mirrors half of the images left to right.

    Every image draws its own place and side. Nothing is actually padded: one gather takes the pixels of the whole
    batch, and those beyond an edge from a black pixel, several times as fast as one image after the other.

    Args:
      images: Batch of images, uint8 [B, H, W, C] with H, W, C known while the graph is built.
      seed: Seed of the draws, int64 [2]; the same seed yields the same batch on every device.
      value_range: Not used: zero is black in every range.

    Returns:
      The augmented images, uint8 [B, H, W, C].
    """
    del value_range
    height, width, channels = images.shape[1:]
    count = tf.shape(images)[0]
    places = 2 * PAD + 1
    # One draw per image decides all three: there are 2 x 9 x 9 outcomes, each as likely as the others.
    draw = tf.random.stateless_uniform([count, 1], seed, 0, 2 * places * places, tf.int32, alg="philox")
    flipped = draw % 2 == 1
    top = draw // 2 % places
    left = draw // (2 * places)
    rows = top - PAD + tf.range(height)
    columns = left - PAD + tf.where(flipped, tf.range(width - 1, -1, -1), tf.range(width))
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    pixels = tf.concat([tf.reshape(images, [-1, channels]), tf.zeros([1, channels], images.dtype)], 0)
    sources = ((tf.range(count)[:, None] * height + rows) * width)[:, :, None] + columns[:, None, :]
    return tf.gather(pixels, tf.where(inside, sources, count * height * width))


def resized_crop(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Resizes a random crop of each image to the old size, and mirrors half of the images: the ImageNet recipe.

    Images on disk are cropped by the pipeline while it decodes them, from the whole picture, with the same `random_box`
    and `mirrored`.

    Args:
      images: Batch of images, uint8 [B, H, W, C] with H, W, C known while the graph is built.
      seed: Seed of the draws, int64 [2].
      value_range: Not used: a crop keeps the range of its image.

    Returns:
      The augmented images, uint8 [B, H, W, C].
    """
    del value_range
    height, width, channels = images.shape[1:]

    def augmented(image_and_seed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, image_seed = image_and_seed
        top, left, box_height, box_width = tf.unstack(random_box(tf.shape(image), image_seed))
        crop = resized(image[top : top + box_height, left : left + box_width], (height, width))
        return mirrored(tf.ensure_shape(crop, [height, width, channels]), image_seed)

    seeds = tf.random.experimental.stateless_split(seed, tf.shape(images)[0])
    signature = tf.TensorSpec([height, width, channels], tf.uint8)
    return tf.map_fn(augmented, (images, seeds), fn_output_signature=signature)


def random_box(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws a box with 8 % to 100 % of an image's area and an aspect ratio from 3:4 to 4:3.

    Args:
      shape: Height, width and channels of the image, int32 [3].
      seed: Seed of the draw, int64 [2].

    Returns:
      Top, left, height and width of the box in pixels, int32 [4].
    """
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
    """Returns an image [H, W, C] or its mirror image, each with probability 1/2, drawn from `seed`, int64 [2]."""
    flip_seed = tf.random.experimental.stateless_fold_in(seed, 1)
    coin = tf.random.stateless_uniform([], flip_seed, 0, 2, tf.int32, alg="philox")
    return tf.cond(coin == 1, lambda: image[:, ::-1], lambda: image)


def resized(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resizes an image to (height, width) bilinearly with antialiasing, rounded to uint8.

    The image library of the official PyTorch code does the same.
    """
    return tf.cast(tf.clip_by_value(tf.round(tf.image.resize(image, size, antialias=True)), 0, 255), tf.uint8)
