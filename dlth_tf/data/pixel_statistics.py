"""The normalizations of `--normalization`, each computed from a data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.normalize import NORMALIZATIONS, Normalization
from dlth_tf.data.tf_data_options import cores, options
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator

CHUNK = 4096  # images counted at a time, so that the counting needs little memory beside the images
SAMPLE = 2048  # images that are decoded to measure a training split on disk
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, scaled to 0..1, as everyone uses them
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalization(dataset: DataSet, name: str | None = None) -> Normalization:
    """The normalisation of that name for `dataset`, or the data set's own when no name is given.

    Raises:
      BadInput: no such normalisation.
    """
    return NORMALIZATIONS.load(name or dataset.normalization)(dataset)


def unit(dataset: DataSet) -> Normalization:
    """x / value_range: pixels from 0 to 1."""
    return _plain(1.0 / dataset.value_range, dataset)


def standard(dataset: DataSet) -> Normalization:
    """`unit`, then mean 0 and standard deviation 1 per channel over the training split; of one on disk, over 2,048 of its images."""
    channels, scale = dataset.image_shape[-1], 1.0 / dataset.value_range
    counts = np.zeros((channels, 256), np.int64)  # of every pixel value: sums over counts are exact, whatever the order
    for chunk in _chunks(dataset.train):
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256, dtype=np.float64) * scale
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    std[std == 0] = 1.0  # a channel that is the same everywhere says nothing, at any scale
    return Normalization(scale, tuple(mean.tolist()), tuple(std.tolist()))


def _chunks(split: Split | DiskSplit) -> Iterator[np.ndarray]:
    """uint8 [?, H, W, C], the images of a split in memory, or a sample of one on disk that is always the same."""
    if not isinstance(split, DiskSplit):
        yield from (split.images[start : start + CHUNK] for start in range(0, len(split), CHUNK))
        return
    import tensorflow as tf

    order = np.argsort(generator(0, "normalization sample").bit_generator.random_raw(len(split)), kind="stable")
    places = tf.data.Dataset.from_tensor_slices(np.sort(order[:SAMPLE]))
    yield from places.map(split.image, num_parallel_calls=cores()).batch(64).with_options(options()).as_numpy_iterator()


def imagenet(dataset: DataSet) -> Normalization:
    """`unit`, then the mean and deviation of ImageNet, whatever the data set.

    Raises:
      BadInput: the images do not have three channels.
    """
    if dataset.image_shape[-1] != 3:
        raise BadInput(
            "normalization", "imagenet", f"is for images with 3 channels, and these have {dataset.image_shape[-1]}"
        )
    return Normalization(1.0 / dataset.value_range, IMAGENET_MEAN, IMAGENET_STD)


def none(dataset: DataSet) -> Normalization:
    """The pixels as they are."""
    return _plain(1.0, dataset)


def _plain(scale: float, dataset: DataSet) -> Normalization:
    channels = dataset.image_shape[-1]
    return Normalization(scale, (0.0,) * channels, (1.0,) * channels)
