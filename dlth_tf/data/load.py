"""From a data set's name to its images: the registry, a dotted path, or whatever tensorflow_datasets has prepared."""

from __future__ import annotations

import inspect
import re

from dlth_tf.data.dataset import DataSet
from dlth_tf.errors import BadInput
from dlth_tf.registry import Registry, import_path, is_path

DATASETS = Registry("dataset", {"digits": "dlth_tf.data.digits:load"})
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check_name(name: str) -> str:
    """Checks what can be checked about a data set's name before TensorFlow is imported.

    Registered names and well-formed dotted paths pass. Any other name passes too: only tensorflow_datasets knows its own.

    Returns:
      `name`.

    Raises:
      BadInput: the name is empty, or has a colon and is not of the form package.module:function.
    """
    if not name.strip():
        known = ", ".join(DATASETS.names())
        raise BadInput("dataset", repr(name), f"must be {known}, a name of tensorflow_datasets, or package.module:function")
    if is_path(name) and not _PATH.fullmatch(name):
        raise BadInput("dataset", name, "must have the form package.module:function")
    return name


def load(name: str, data_dir: str | None = None) -> DataSet:
    """Loads a data set into memory.

    Args:
      name: "digits"; a name of tensorflow_datasets, of which prepared files are read and nothing is downloaded; or
        "package.module:function", a function that takes `data_dir` and returns a DataSet.
      data_dir: where prepared data sets lie; tensorflow_datasets' own default when not given.

    Raises:
      BadInput: there is no such data set, it is not prepared, or it does not consist of labelled images of one size.
    """
    check_name(name)
    if is_path(name):
        return _from_path(name, data_dir)
    if name in DATASETS.names():
        return DATASETS.load(name)(data_dir)
    from dlth_tf.data import tfds_sets

    return tfds_sets.load(name, data_dir)


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
