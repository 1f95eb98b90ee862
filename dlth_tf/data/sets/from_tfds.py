"""Image data sets of tensorflow_datasets whose prepared files are available."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.names import DATASETS, FILE_KINDS
from dlth_tf.data.sets import tfds_reader
from dlth_tf.data.sets.prepared_files import opening
from dlth_tf.data.splits import divided
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import whole_or_none
from dlth_tf.randomness import generator
from dlth_tf.registry import unknown

VALIDATION_SHARE = 10  # one training example in so many validates, if a data set has no validation split
MOST_VALIDATION = 10_000  # of a data set on disk, where looking at an image costs decoding it
SPLIT_SEED = 0  # of the data set, not of a run: every run divides it alike
# Bytes of uint8 images over training and test up to which a set is read into memory; Tiny ImageNet has 1.35e9.
IN_MEMORY = 2 * 2**30
AUGMENTED = ("cifar10", "cifar100", "tiny_imagenet")  # whose published results crop and flip
IMAGE_SIDE = 224  # pixels of the square cropped from images of many sizes, unless the name has a suffix "@SIDE"


def load(name: str, data_dir: str | None = None, side: int | None = None) -> DataSet:
    """Reads a prepared data set; nothing is downloaded.

    Sets whose images are all of one size are read into memory up to 2 GiB; larger ones, and those of many sizes, stay
    on disk.

    A set without a test split is tested on its validation split. If a set has no other split to validate on, a tenth of
    its training examples validates, class by class (of a set on disk at most 10,000).

    Args:
      name: Name of the set in tensorflow_datasets, with "/config" if it has configurations.
      data_dir: Directory in which it was prepared; if None, the default of tensorflow_datasets.
      side: Side in pixels of the square that is cropped from images of many sizes; 224 if None.

    Raises:
      BadInput: If there is no such data set or directory, or the set is not prepared or not made of labeled uint8
        images.
    """
    builder = open_builder(name, data_dir)
    splits = builder.info.splits
    test = "test" if "test" in splits else "validation"
    if "train" not in splits or test not in splits:
        raise BadInput(
            "dataset",
            name,
            f"must have a train split and a test or validation split, and has {', '.join(sorted(splits))}",
        )
    return from_builder(name, builder, test, side)


def open_builder(name: str, data_dir: str | None, remedy: str | None = None) -> tfds.core.DatasetBuilder:
    """Returns the builder of a prepared data set.

    Args:
      name: Name of the set in tensorflow_datasets.
      data_dir: Directory in which it was prepared; if None, the default of tensorflow_datasets.
      remedy: Instructions for preparing it, as the end of a sentence; if None, the command of tensorflow_datasets.

    Raises:
      BadInput: If there is no such data set or directory, or the set is not prepared.
    """
    if data_dir is not None:
        _check_directory(data_dir)
    return _builder(name, data_dir, remedy)


def from_builder(name: str, builder: tfds.core.DatasetBuilder, test: str, side: int | None) -> DataSet:
    """Reads the data set of a prepared builder.

    Args:
      name: Name of the set, as given to `--dataset`.
      builder: Builder of the prepared set.
      test: Name of the split to test on.
      side: Side in pixels of the square that is cropped from images of many sizes; 224 if None.

    Raises:
      BadInput: If the set is not made of labeled uint8 images, or `side` is set although all images have one size.
    """
    image, label = _supervised(name, builder)
    shape = builder.info.features[image].shape
    one_size = None not in shape
    side = whole_or_none("side", side, least=1)
    if one_size and side is not None:
        raise BadInput(
            "dataset", f"{name}@{side}", f"its images all have {shape[0]} x {shape[1]} pixels; leave @{side} out"
        )
    shape = shape if one_size else (side or IMAGE_SIDE, side or IMAGE_SIDE, shape[-1] or 3)
    count = sum(builder.info.splits[split].num_examples for split in ("train", test))
    stays_on_disk = not one_size or count * math.prod(shape) > IN_MEMORY

    def part(split: str) -> Split | DiskSplit:
        if stays_on_disk:
            return tfds_reader.on_disk(builder, split, shape, one_size)
        return tfds_reader.read(builder, split)

    train = part("train")
    if test == "test" and "validation" in builder.info.splits:
        validation = part("validation")
    else:
        train, validation = carve(train, builder.name, name)
    return DataSet(
        name=name,
        train=train,
        validation=validation,
        test=part(test),
        label_names=tuple(builder.info.features[label].names),
        augment=_default_augment(builder.name, one_size),
    )


def carve(train: Split | DiskSplit, key: str, name: str | None = None) -> tuple[Split | DiskSplit, Split | DiskSplit]:
    """Divides a training split into training and validation examples, class by class.

    Args:
      train: Training split; a split in memory is used up (`splits.divided`).
      key: Name that the division depends on.
      name: Name of the data set, as given to `--dataset`, for messages; `key` if None.

    Returns:
      (training, validation).

    Raises:
      BadInput: If the split is too small.
    """
    count = len(train) // VALIDATION_SHARE
    count = min(count, MOST_VALIDATION) if isinstance(train, DiskSplit) else count
    if not count:
        raise BadInput(
            "dataset",
            name or key,
            f"must have {VALIDATION_SHARE} training images or more, one of which validates, and has {len(train)}",
        )
    return divided(train, count, generator(SPLIT_SEED, "validation split", key))


def _default_augment(name: str, one_size: bool) -> str:
    if not one_size:
        return "resized_crop"
    return "crop_flip" if name in AUGMENTED else "none"


def _check_directory(data_dir: str) -> None:
    path = os.path.expanduser(data_dir)
    if not tf.io.gfile.isdir(path):
        raise BadInput("data_dir", data_dir, "must be a directory that exists")
    try:
        tf.io.gfile.listdir(path)
    except (tf.errors.OpError, OSError) as error:
        raise BadInput("data_dir", data_dir, f"must be a directory that can be read ({error})") from None


def _builder(name: str, data_dir: str | None, remedy: str | None) -> tfds.core.DatasetBuilder:
    try:
        with opening(data_dir or tfds.core.constants.DATA_DIR, name):
            builder = tfds.builder(name, data_dir=data_dir and os.path.expanduser(data_dir))
    except BadInput:
        raise
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        raise BadInput("dataset", name, _unusable(name, error)) from None
    if not builder.is_prepared() or not builder.info.splits:
        command = f"`tfds build {name} --data_dir={builder.data_dir_root}`"
        remedy = remedy or f"prepare it once with {command}, or name another data_dir"
        exists = tf.io.gfile.exists(builder.data_dir)
        observed = f"{builder.data_dir} lists no splits" if exists else f"there is no {builder.data_dir}"
        raise BadInput("dataset", name, f"is not prepared: {observed}; {remedy}")
    return builder


def _unusable(name: str, error: Exception) -> str:
    """Returns the rest of a sentence: why tensorflow_datasets has no builder of this name."""
    if kind := FILE_KINDS.get(os.path.splitext(name)[1].lower()):
        return f"no such dataset; did you mean {kind}{name}?"
    base, _, variant = name.partition("/")
    builders = tfds.list_builders(with_community_datasets=False)
    if base not in builders:
        others = "available: digits, the image sets that tfds.list_builders() names, and package.module:function"
        return _nearest("dataset", name.lower(), dict.fromkeys((*DATASETS.names(), *builders)), others)
    variants = list(tfds.builder_cls(base).builder_configs) if variant and isinstance(error, ValueError) else []
    if variants:
        others = f"available: {', '.join(variants[:3])} and {len(variants[3:])} more"
        return _nearest(f"variant of {base}", variant, variants, others)
    if variant:
        return f"tensorflow_datasets cannot use that name; try plain {base}"
    return f"tensorflow_datasets cannot make it ({error})"


def _nearest(kind: str, name: str, names: Iterable[str], otherwise: str) -> str:
    """Returns `registry.unknown`, but without its list of all names: tensorflow_datasets has hundreds."""
    sentence = unknown(kind, name, names)
    sentence = sentence if "did you mean" in sentence else f"no such {kind}; {otherwise}"
    if kind != "dataset":
        return sentence
    end = "" if sentence.endswith("?") else "."
    return f"{sentence}{end} A function of yours is named with its module, as mine:load."


def _supervised(name: str, builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """Returns the names of the features that contain the image and its class."""
    keys = builder.info.supervised_keys
    features = builder.info.features
    if keys is not None and len(keys) == 2 and all(isinstance(key, str) for key in keys):
        image = features[keys[0]]
        label = features[keys[1]]
        if isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel):
            if image.np_dtype != np.uint8:
                raise BadInput(
                    "dataset", name, f"its images must be uint8, and are {np.dtype(image.np_dtype)}{list(image.shape)}"
                )
            return keys
    raise BadInput("dataset", name, f"must be made of images with class labels, and contains {', '.join(features)}")
