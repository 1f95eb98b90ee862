"""From a data set's name to its images: the registry, a dotted path, or whatever tensorflow_datasets has prepared."""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import dataclass, replace

from dlth_tf.data.dataset import DataSet
from dlth_tf.errors import BadInput
from dlth_tf.registry import Registry, import_path, is_path

SMALL = ("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")
SIZED = ("imagenet2012", "imagenet200")  # registered, with images of many sizes
DATASETS = Registry(
    "dataset",
    {
        "digits": "dlth_tf.data.digits:load",
        **{name: f"dlth_tf.data.small_sets:{name}" for name in SMALL},
        "tiny_imagenet": "dlth_tf.data.tiny_imagenet:load",
        **{name: f"dlth_tf.data.imagenet:{name}" for name in SIZED},
    },
)
FOLDER = "folder:"
SIDES = (8, 1024)  # pixels that "@SIDE" may ask for
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check_name(name: str) -> str:
    """Checks what can be checked about a data set's name before TensorFlow is imported.

    Registered names and well-formed dotted paths pass. Any other name passes too: only tensorflow_datasets knows its own.

    Returns:
      `name`.

    Raises:
      BadInput: the name is empty, or has a colon and is neither folder:PATH nor of the form package.module:function, or asks with
        "@SIDE" for a size that is not allowed.
    """
    base, side = divide_name(name)
    if not base.strip():
        known = ", ".join(DATASETS.names())
        raise BadInput("dataset", repr(name), f"must be {known}, a name of tensorflow_datasets, folder:PATH, or package.module:function")
    if base == FOLDER:
        raise BadInput("dataset", name, "must name a folder, as in folder:PATH")
    if is_path(base) and not _PATH.fullmatch(name):
        raise BadInput("dataset", name, "must have the form package.module:function")
    if side is not None:
        if not SIDES[0] <= side <= SIDES[1]:
            raise BadInput("dataset", name, f"must ask for images of {SIDES[0]} to {SIDES[1]} pixels after the @")
        if base in DATASETS.names() and base not in SIZED:
            raise BadInput("dataset", name, f"its images all have one size; leave @{side} out")
    return name


def divide_name(name: str) -> tuple[str, int | None]:
    """What stands before and after "@SIDE" in a data set's name.

    >>> divide_name("imagenet200@64"), divide_name("cifar10")
    (('imagenet200', 64), ('cifar10', None))
    """
    match = re.fullmatch(r"(.*)@([0-9]{1,9})", name, re.DOTALL)
    return (match[1], int(match[2])) if match else (name, None)


def load(name: str, data_dir: str | None = None) -> DataSet:
    """Loads a data set: small ones into memory; of large ones, and of images of many sizes, only where each image is.

    Args:
      name: one of DATASETS; a name of tensorflow_datasets, of which prepared files are read and nothing is downloaded;
        "folder:PATH", a folder of images; or "package.module:function", a function that takes `data_dir` and returns a DataSet.
        Where the images are of many sizes, "@SIDE" after the name says how many pixels the square has that is cut out of each, as in
        "imagenet200@64"; 224 when not given.
      data_dir: where prepared data sets lie; tensorflow_datasets' own default when not given.

    Raises:
      BadInput: there is no such data set, it is not prepared, or it does not consist of labelled images.
    """
    check_name(name)
    if not _KEPT.wanted:
        return _load(name, data_dir)
    key = name, data_dir, os.getcwd()
    if key != _KEPT.key:
        _KEPT.key = _KEPT.dataset = None  # first, so that memory never holds two
        _KEPT.key, _KEPT.dataset = key, _load(name, data_dir)
    assert _KEPT.dataset is not None
    return _KEPT.dataset


@dataclass
class _Kept:
    """The data set that was loaded last, where it is kept."""

    wanted: bool = False
    key: tuple[str, str | None, str] | None = None
    dataset: DataSet | None = None


_KEPT = _Kept()


def keep_last() -> None:
    """From now on this process keeps the data set that it loaded last: for the workers of a sweep, whose runs share it."""
    _KEPT.wanted = True


def _load(name: str, data_dir: str | None) -> DataSet:
    base, side = divide_name(name)
    if is_path(base):
        return _from_path(name, data_dir)
    if base in SIZED:
        return _named(DATASETS.load(base)(data_dir, side), name)
    if base in DATASETS.names():
        return DATASETS.load(base)(data_dir)
    if base.startswith(FOLDER):
        from dlth_tf.data import folder

        return folder.load(base.removeprefix(FOLDER), side)
    from dlth_tf.data import tfds_sets

    return _named(tfds_sets.load(base, data_dir, side), name)


def _named(dataset: DataSet, name: str) -> DataSet:
    return dataset if dataset.name == name else replace(dataset, name=name)


def _from_path(name: str, data_dir: str | None) -> DataSet:
    function = import_path(name, "dataset")
    try:
        inspect.signature(function).bind(data_dir)
    except TypeError:
        raise BadInput("dataset", name, "must be a function of one argument, data_dir") from None
    try:
        dataset = function(data_dir)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput("dataset", name, f"failed with {type(error).__name__}: {error}") from error
    if not isinstance(dataset, DataSet):
        raise BadInput("dataset", name, f"must return a dlth_tf.data.DataSet, and returned a {type(dataset).__name__}")
    return dataset
