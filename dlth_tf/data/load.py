"""From a data set's name to its images: the registry, a dotted path, or whatever tensorflow_datasets has prepared."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, replace

from dlth_tf.data.dataset import DataSet
from dlth_tf.data.names import DATASETS, FOLDER, SIZED, SMALL, check_name, divide_name
from dlth_tf.errors import BadInput
from dlth_tf.registry import import_path, is_path


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
    if base in DATASETS.names() and base not in SMALL:
        return DATASETS.load(base)(data_dir)
    if base.startswith(FOLDER):
        from dlth_tf.data.sets import folder

        return folder.load(base.removeprefix(FOLDER), side)
    from dlth_tf.data.sets import from_tfds

    return _named(from_tfds.load(base, data_dir, side), name)


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
