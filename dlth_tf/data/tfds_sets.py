"""Any image data set of tensorflow_datasets whose prepared files are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.load import DATASETS
from dlth_tf.data.prepared import quiet, read
from dlth_tf.data.splits import stratified
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator
from dlth_tf.registry import unknown

VALIDATION_SHARE = 10  # one training example in so many validates, where a data set has no validation split of its own
SPLIT_SEED = 0  # of the data set, not of a run: every run divides it alike
AUGMENTED = ("cifar10", "cifar100")  # whose published results all crop and flip


def load(name: str, data_dir: str | None = None) -> DataSet:
    """Reads a prepared data set; nothing is downloaded.

    A set without a test split is tested on its validation split. A set without another split to validate on gives a tenth of its
    training examples, class by class.

    Args:
      name: as tensorflow_datasets calls it, with "/config" where it has one.
      data_dir: the directory in which it was prepared; tensorflow_datasets' own default when not given.

    Raises:
      BadInput: no such data set or directory, or it is not prepared, or not made of labelled uint8 images of one size.
    """
    if data_dir is not None:
        _check_directory(data_dir)
    builder = _builder(name, data_dir)
    _, label = _supervised(name, builder)
    splits = builder.info.splits
    test = "test" if "test" in splits else "validation"
    if "train" not in splits or test not in splits:
        raise BadInput("dataset", name, f"must have a train split and a test or validation split, and has {', '.join(sorted(splits))}")
    train = read(builder, "train")
    if test == "test" and "validation" in splits:
        validation = read(builder, "validation")
    else:
        train, validation = _carve(train, builder.name)
    return DataSet(
        name=name,
        train=train,
        validation=validation,
        test=read(builder, test),
        label_names=tuple(builder.info.features[label].names),
        augment="crop_flip" if builder.name in AUGMENTED else "none",
    )


def _check_directory(data_dir: str) -> None:
    path = os.path.expanduser(data_dir)
    if not tf.io.gfile.isdir(path):
        raise BadInput("data_dir", data_dir, "must be a directory that exists")
    try:
        tf.io.gfile.listdir(path)
    except (tf.errors.OpError, OSError) as error:
        raise BadInput("data_dir", data_dir, f"must be a directory that can be read ({error})") from None


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        with quiet():
            builder = tfds.builder(name, data_dir=data_dir and os.path.expanduser(data_dir))
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        raise BadInput("dataset", name, _unusable(name, error)) from None
    if not builder.is_prepared() or not builder.info.splits:
        remedy = f"prepare it once with `tfds build {name} --data_dir={builder.data_dir_root}`, or name another data_dir"
        raise BadInput("dataset", name, f"is not prepared: there is no {builder.data_dir}; {remedy}")
    return builder


def _unusable(name: str, error: Exception) -> str:
    base, _, variant = name.partition("/")
    builders = tfds.list_builders(with_community_datasets=False)
    if base not in builders:
        others = "known are digits, the image sets that tfds.list_builders() names, and package.module:function"
        return _nearest("dataset", name.lower(), dict.fromkeys((*DATASETS.names(), *builders)), others)
    variants = list(tfds.builder_cls(base).builder_configs) if variant and isinstance(error, ValueError) else []
    if variants:
        return _nearest(f"variant of {base}", variant, variants, f"known are {', '.join(variants[:3])} and {len(variants[3:])} more")
    return f"tensorflow_datasets cannot use that name; try plain {base}" if variant else f"tensorflow_datasets cannot make it ({error})"


def _nearest(kind: str, name: str, names: Iterable[str], otherwise: str) -> str:
    """`registry.unknown`, but without its list of all names: tensorflow_datasets has hundreds."""
    sentence = unknown(kind, name, names)
    return sentence if "did you mean" in sentence else f"no such {kind}; {otherwise}"


def _supervised(name: str, builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    keys, features = builder.info.supervised_keys, builder.info.features
    if keys is not None and len(keys) == 2 and all(isinstance(key, str) for key in keys):
        image, label = features[keys[0]], features[keys[1]]
        if isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel):
            if None in image.shape or image.np_dtype != np.uint8:
                found = f"{np.dtype(image.np_dtype)}{list(image.shape)}"
                raise BadInput("dataset", name, f"its images must be uint8 and all of one size, and are {found}")
            return keys
    raise BadInput("dataset", name, f"must be made of images with class labels, and holds {', '.join(features)}")


def _carve(train: Split, name: str) -> tuple[Split, Split]:
    picked, others = stratified(train.labels, len(train) // VALIDATION_SHARE, generator(SPLIT_SEED, "validation split", name))
    return Split(train.images[others], train.labels[others]), Split(train.images[picked], train.labels[picked])
