"""Checks of prepared tensorflow_datasets folders, which may be somebody else's, before they are read."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dlth_tf.data.sets.tfds_reader import quiet
from dlth_tf.errors import BadInput

FEATURES = "tensorflow_datasets.core.features."  # the only classes that a folder may name for its features
DESCRIBING = (".json", ".txt")  # suffixes of files that are read whole
MOST_DESCRIBING = 16 * 2**20  # bytes of each of them


@contextlib.contextmanager
def opening(data_dir: str | os.PathLike[str], name: str) -> Iterator[None]:
    """Guards the opening of a builder, quietly: its folder may only name features of tensorflow_datasets itself.

    A folder describes its features by the names of their classes, and tensorflow_datasets imports the module of any
    name.

    Args:
      data_dir: Directory of prepared data sets.
      name: Name of the data set, whose folder in it is opened.

    Raises:
      BadInput: If a file of the folder is not a regular file or is too large to be a description, or the folder names
        another class.
    """
    folder = Path(data_dir).expanduser() / name.partition("/")[0]
    check_files(folder)
    connector = tfds.features.FeatureConnector
    original = vars(connector)["cls_from_name"]
    refused: list[str] = []

    def of_tensorflow_datasets(cls: Any, class_name: str) -> Any:
        if not isinstance(class_name, str) or not class_name.startswith(FEATURES):
            refused.append(str(class_name))
            raise ValueError(f"the class {class_name} is not one of {FEATURES}*")
        return original.__get__(None, cls)(class_name)

    connector.cls_from_name = classmethod(of_tensorflow_datasets)
    try:
        with quiet():
            yield
    except Exception as error:
        if not refused:
            raise
        allowed = f"its features name the class {refused[0]!r}, and must be classes of {FEATURES[:-1]}"
        raise BadInput("data_dir", folder, allowed) from error
    finally:
        connector.cls_from_name = original


def check_files(folder: Path) -> None:
    """Checks that all files of a folder are regular files, and those that describe the set small.

    Args:
      folder: Local folder, which need not exist.

    Raises:
      BadInput: If one is a pipe, a socket or a device, or too large.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                found = os.stat(path)
            except OSError:
                continue  # a broken link is missing to tensorflow_datasets too
            if not stat.S_ISREG(found.st_mode):
                raise BadInput("data_dir", path, "must be a regular file")
            if name.endswith(DESCRIBING) and found.st_size > MOST_DESCRIBING:
                raise BadInput("data_dir", path, f"must have at most {MOST_DESCRIBING:,} bytes, and has more")
