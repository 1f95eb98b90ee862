"""Loads data sets by name: registered sets, functions by dotted path, and prepared sets of tensorflow_datasets."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlth_tf.data.dataset import DataSet
from dlth_tf.data.names import CSV, DATASETS, FOLDER, LOCAL, NPZ, SIZED, SMALL, check_name, divide_name
from dlth_tf.data.targets import CLASSES, Targets
from dlth_tf.errors import BadInput
from dlth_tf.measures import CLASSIFICATION, REGRESSION
from dlth_tf.registry import import_path, is_path


def load(
    name: str, data_dir: str | None = None, task: str = CLASSIFICATION, label_column: str | None = None
) -> DataSet:
    """Loads a data set: a small one into memory; of a large one, or of images of many sizes, only an index.

    Args:
      name: One of DATASETS; a name of tensorflow_datasets, whose prepared files are read without any download;
        "folder:PATH", a folder of images; "npz:PATH", arrays; "csv:PATH", a table; or "package.module:function", a
        function that takes `data_dir` and returns a DataSet. For images of many sizes, a suffix "@SIDE" sets the side
        in pixels of the square that is cropped from each, as in "imagenet200@64"; the default is 224.
      data_dir: Directory of the prepared data sets; if None, the default of tensorflow_datasets.

      task: "classification", or "regression": the labels are targets, floating-point numbers.
      label_column: Column of a CSV file that holds the labels; if None, `label` if there is one, else the last.

    Returns:
      The data set.

    Raises:
      BadInput: If there is no such data set, it is not prepared, or its labels do not fit the task.
    """
    return load_for(name, data_dir, Targets(task, label_column))


def load_for(name: str, data_dir: str | None, targets: Targets) -> DataSet:
    """Loads a data set like `load`, for targets that are one value."""
    check_name(name)
    if targets.column is not None and not name.startswith(CSV):
        raise BadInput("label_column", targets.column, f"is for csv:PATH, and the data set is {name}")
    if not _KEPT.enabled:
        return _load(name, data_dir, targets)
    key = name, data_dir, targets, os.getcwd()
    if key != _KEPT.key:
        _KEPT.key = _KEPT.dataset = None  # first, so that memory never holds two
        _KEPT.dataset = _load(name, data_dir, targets)
        _KEPT.key = key
    assert _KEPT.dataset is not None
    return _KEPT.dataset


def load_prepared(name: str, data_dir: str | None = None, targets: Targets = CLASSES) -> DataSet:
    """Loads a data set like `load`, but writes nothing into `data_dir`, which a file and not the user has named.

    Args:
      name: Name of the data set.
      data_dir: Local directory of the prepared data sets; if None, the default of tensorflow_datasets.
      targets: Task, and the column of the labels in a table.

    Raises:
      BadInput: If the set would have to be prepared there first, or `load` refuses it.
    """
    base, _ = divide_name(name)
    if data_dir is not None and "://" in data_dir:
        raise BadInput("data_dir", data_dir, "must be a local directory")
    if data_dir is not None and base in LOCAL:
        try:
            prepared = any(Path(data_dir).expanduser().glob(f"{base}/*/dataset_info.json"))
        except (OSError, ValueError, RuntimeError):
            prepared = False
        if not prepared:
            raise BadInput("data_dir", data_dir, f"does not contain a prepared {base}")
    return load_for(name, data_dir, targets)


@dataclass
class _Kept:
    """The data set that was loaded last, if this process keeps it.

    Attributes:
      enabled: Whether the last data set is kept.
      key: Name, data directory, targets and working directory that it was loaded with.
      dataset: The data set.
    """

    enabled: bool = False
    key: tuple[str, str | None, Targets, str] | None = None
    dataset: DataSet | None = None


_KEPT = _Kept()


def keep_last() -> None:
    """Makes this process keep the data set that it loaded last, for the workers of a sweep, whose runs share it."""
    _KEPT.enabled = True


def _load(name: str, data_dir: str | None, targets: Targets) -> DataSet:
    dataset = _read(name, data_dir, targets)
    if dataset.num_classes == 1 and dataset.task == targets.task == CLASSIFICATION:
        only = f"its labels are all of one class, {dataset.label_names[0]}, and there must be two classes or more"
        raise BadInput("dataset", name, only)
    if dataset.task == targets.task:
        if dataset.task == REGRESSION and not np.ptp(dataset.train.labels, axis=0).any():
            only = f"its training targets are all {dataset.train.labels[0].tolist()}, which leaves nothing to predict"
            raise BadInput("dataset", name, only)
        return dataset
    if targets.task == REGRESSION:
        raise BadInput("task", REGRESSION, f"needs floating-point labels, and those of {name} are classes")
    raise BadInput("task", targets.task, f"needs classes, int64 labels, and those of {name} are floating-point numbers")


def _read(name: str, data_dir: str | None, targets: Targets) -> DataSet:
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
    if base.startswith(NPZ):
        from dlth_tf.data.sets import npz_file

        return npz_file.load(base.removeprefix(NPZ), targets)
    if base.startswith(CSV):
        from dlth_tf.data.sets import csv_file

        return csv_file.load(base.removeprefix(CSV), targets)
    from dlth_tf.data.sets import from_tfds

    return _named(from_tfds.load(base, data_dir, side), name)


def _named(dataset: DataSet, name: str) -> DataSet:
    return dataset if dataset.name == name else replace(dataset, name=name)


def _from_path(name: str, data_dir: str | None) -> DataSet:
    """Calls the user's function that a dotted path names."""
    function = import_path(name, "dataset")
    try:
        inspect.signature(function).bind(data_dir)
    except TypeError:
        raise BadInput("dataset", name, "must be a function of one argument, data_dir") from None
    except ValueError:
        pass  # a function of an extension module may have no signature to look at
    try:
        dataset = function(data_dir)
    except Exception as error:
        raise BadInput("dataset", name, f"failed with {type(error).__name__}: {error}") from error
    if not isinstance(dataset, DataSet):
        raise BadInput("dataset", name, f"must return a dlth_tf.data.DataSet, and returned a {type(dataset).__name__}")
    return dataset
