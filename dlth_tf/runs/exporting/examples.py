"""Examples of a data set as a client sends them, on which exports are compared, judged and calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from dlth_tf import data as data_room
from dlth_tf.data import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.names import FILES, FOLDER
from dlth_tf.data.tf_data_options import cores, options
from dlth_tf.deploy.examples import Examples, max_examples

CALIBRATION = 256  # training images for forms that choose number ranges from them


def examples_of(dataset: DataSet, part: str) -> Examples:
    """Returns the examples of one part, at most the first 10,000.

    Args:
      dataset: The data set.
      part: "validation" or "test".
    """
    split: Split | DiskSplit = getattr(dataset, part)
    number = min(len(split), max_examples(dataset.image_shape, 1 if dataset.dtype == "uint8" else 4))
    some = "" if number == len(split) else f" (of {len(split):,})"
    with data_room.broken_images_named(dataset):
        images = raw_images(split, number)
    return Examples(images, split.labels[:number], f"{part} {dataset.noun} of {published_name(dataset.name)}{some}")


def published_name(dataset: str) -> str:
    """Returns the name of a data set as it may be published, without the folders above its file or folder."""
    kind = next((kind for kind in (FOLDER, *FILES) if dataset.startswith(kind)), None)
    return dataset if kind is None else kind + without_home(Path(dataset.removeprefix(kind)))


def without_home(path: Path) -> str:
    """Returns a path as it may be published: relative to the working directory, or outside of it the name alone."""
    whole = path.resolve()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else whole.name


def validation_examples(dataset: DataSet, batch: int | None) -> Examples | None:
    """Returns the examples on which rounded forms are judged; None if they do not fill one batch of a fixed size."""
    return examples_of(dataset, "validation") if len(dataset.validation) >= (batch or 1) else None


def calibration_images(dataset: DataSet) -> np.ndarray:
    """Returns the first training images, for forms that choose number ranges from them."""
    with data_room.broken_images_named(dataset):
        return raw_images(dataset.train, CALIBRATION)


def raw_images(split: Split | DiskSplit, number: int) -> np.ndarray:
    """Returns the first images of a split without normalization, [at most `number`, ...]."""
    number = min(number, len(split))
    if isinstance(split, Split):
        return split.images[:number]
    read = tf.data.Dataset.range(number).map(split.image, num_parallel_calls=cores()).with_options(options())
    return np.stack(list(read.as_numpy_iterator()))
