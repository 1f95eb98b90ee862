"""The functions behind the names of `--normalization`, each of which computes a Normalization from a data set."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dlth_tf.data.broken_images import broken_images_named
from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.normalize import NORMALIZATIONS, Normalization
from dlth_tf.data.tf_data_options import cores, options
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator

CHUNK = 4096  # images counted at a time, so that counting needs little memory in addition to the images
SAMPLE = 2048  # images that are decoded to measure a training split on disk
FOR_PIXELS = ("unit", "imagenet")  # normalizations of uint8 examples alone
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, scaled to 0..1, as commonly used
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalization(dataset: DataSet, name: str | None = None) -> Normalization:
    """Returns a normalization for a data set.

    Args:
      dataset: Data set whose images are normalized.
      name: One of NORMALIZATIONS; if None, the data set's default.

    Raises:
      BadInput: If there is no such normalization, it does not fit the images, or an image cannot be read.
    """
    with broken_images_named(dataset):
        return NORMALIZATIONS.load(name or dataset.normalization)(dataset)


def check_fits(name: str, dtype: str, image_shape: tuple[int, ...]) -> None:
    """Checks that a normalization fits examples before these are there.

    Args:
      name: One of NORMALIZATIONS.
      dtype: Dtype of the examples.
      image_shape: Shape of an example.

    Raises:
      BadInput: If it is for images, and the examples are something else, or have other channels.
    """
    if name in FOR_PIXELS and dtype != "uint8":
        raise BadInput(
            "normalization", name, f"is for uint8 images, and the examples are {dtype}: use standard or none"
        )
    if name == "imagenet" and image_shape[-1] != len(IMAGENET_MEAN):
        raise BadInput("normalization", name, f"needs images with 3 channels, and these have {image_shape[-1]}")


def unit(dataset: DataSet) -> Normalization:
    """Returns x / value_range, which scales pixels to the range from 0 to 1.

    Raises:
      BadInput: If the examples are not uint8.
    """
    check_fits("unit", dataset.dtype, dataset.image_shape)
    return _plain(1.0 / dataset.value_range, dataset)


def standard(dataset: DataSet) -> Normalization:
    """Returns the normalization to mean 0 and standard deviation 1 per channel over the training split.

    A channel is an index of the last axis: a color of an image, a column of a table. A training split on disk is
    measured on a fixed sample of 2,048 of its images.
    """
    if dataset.dtype != "uint8":
        return _standard_of_numbers(dataset)
    channels = dataset.image_shape[-1]
    scale = 1.0 / dataset.value_range
    counts = np.zeros((channels, 256), np.int64)  # of every pixel value: sums over counts are exact in any order
    for chunk in _chunks(dataset.train):
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256, dtype=np.float64) * scale
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    std[std == 0] = 1.0  # a constant channel carries no information at any scale
    return Normalization(scale, tuple(mean.tolist()), tuple(std.tolist()))


def _chunks(split: Split | DiskSplit) -> Iterator[np.ndarray]:
    """Yields the images of a split in memory, or a fixed sample of a split on disk, as uint8 [?, H, W, C]."""
    if not isinstance(split, DiskSplit):
        yield from (split.images[start : start + CHUNK] for start in range(0, len(split), CHUNK))
        return
    import tensorflow as tf

    order = np.argsort(generator(0, "normalization sample").bit_generator.random_raw(len(split)), kind="stable")
    places = tf.data.Dataset.from_tensor_slices(np.sort(order[:SAMPLE]))
    yield from places.map(split.image, num_parallel_calls=cores()).batch(64).with_options(options()).as_numpy_iterator()


def imagenet(dataset: DataSet) -> Normalization:
    """Returns the normalization by ImageNet's mean and standard deviation, after scaling to the range from 0 to 1.

    Raises:
      BadInput: If the examples are not images with three channels.
    """
    check_fits("imagenet", dataset.dtype, dataset.image_shape)
    return Normalization(1.0 / dataset.value_range, IMAGENET_MEAN, IMAGENET_STD)


def none(dataset: DataSet) -> Normalization:
    """Returns the identity: values stay as they are, and int32 tokens integers."""
    return _plain(1.0, dataset)


def _plain(scale: float, dataset: DataSet) -> Normalization:
    channels = dataset.image_shape[-1]
    return Normalization(scale, (0.0,) * channels, (1.0,) * channels, dataset.dtype)


def _standard_of_numbers(dataset: DataSet) -> Normalization:
    """Returns `standard` of float32 or int32 examples, computed in float64: the mean first, then the deviation."""
    count = dataset.train.labels.shape[0] * math.prod(dataset.image_shape[:-1])
    mean = sum(rows.sum(0) for rows in _rows(dataset)) / count
    std = np.sqrt(sum(((rows - mean) ** 2).sum(0) for rows in _rows(dataset)) / count)
    lowest = np.min([rows.min(0) for rows in _rows(dataset)], 0)
    highest = np.max([rows.max(0) for rows in _rows(dataset)], 0)
    std[lowest == highest] = 1.0  # a constant column carries no information at any scale
    return Normalization(1.0, tuple(mean.tolist()), tuple(std.tolist()), dataset.dtype)


def _rows(dataset: DataSet) -> Iterator[np.ndarray]:
    """Yields the training examples, some at a time, as float64 [?, channels]."""
    for chunk in _chunks(dataset.train):
        yield chunk.reshape(-1, dataset.image_shape[-1]).astype(np.float64)
