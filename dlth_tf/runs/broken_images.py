"""The name of a broken image, which TensorFlow's error does not contain."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from dlth_tf import data as data_room
from dlth_tf.data import DiskSplit
from dlth_tf.errors import BadInput


@contextlib.contextmanager
def naming_broken_images(dataset: str, data_dir: str | None) -> Iterator[None]:
    """Names the image of a folder that TensorFlow could not decode during the block.

    Args:
      dataset: Name of the data set that is read.
      data_dir: Directory that it is loaded from.

    Raises:
      BadInput: If an error of TensorFlow leaves the block, and an image cannot be decoded.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        loaded = data_room.load(dataset, data_dir)
        for split in (loaded.train, loaded.validation, loaded.test):
            broken = split.first_broken() if isinstance(split, DiskSplit) else None
            if broken:
                path, problem = broken
                raise BadInput("dataset", dataset, f"its image {path} cannot be decoded ({problem})") from error
        raise
