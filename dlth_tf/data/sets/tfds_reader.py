"""Reads the prepared files of a tensorflow_datasets builder, into memory or by their places on disk."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from dlth_tf.data.dataset import Split
from dlth_tf.data.disk_split import DiskSplit, ImageRecords
from dlth_tf.data.pipeline import ALIGNMENT
from dlth_tf.data.tfrecord_index import Records, open_records
from dlth_tf.errors import BadInput

READ_BATCH = 512  # images decoded at a time


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps tensorflow_datasets from printing: it speaks of downloads where there are none, and errors say what went wrong."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def read(builder: tfds.core.DatasetBuilder, split: str) -> Split:
    """All examples of one split in memory, in the order of the files.

    Args:
      builder: prepared, with supervised images of one size and class labels.
      split: one of its splits.

    Raises:
      BadInput: the files are damaged, or fewer or more examples are in them than their own description says.
    """
    count = builder.info.splits[split].num_examples
    image, _ = builder.info.supervised_keys
    images = aligned((count, *builder.info.features[image].shape))
    labels = np.empty(count, np.int64)
    done = 0
    try:
        examples = builder.as_dataset(split=split, as_supervised=True, shuffle_files=False)
        for some_images, some_labels in examples.batch(READ_BATCH).as_numpy_iterator():
            after = done + len(some_labels)
            images[done:after], labels[done:after], done = some_images, some_labels, after
    except (tf.errors.OpError, OSError, AssertionError, ValueError, NotImplementedError) as error:
        raise _damaged(builder, split, str(error).split("\n")[0]) from error
    if done != count:
        raise _damaged(builder, split, f"it holds {done} of {count} examples")
    return Split(images, labels)


def stream(builder: tfds.core.DatasetBuilder, split: str, shape: tuple[int, int, int], one_size: bool) -> DiskSplit:
    """All examples of one split, left on disk.

    Args:
      builder: prepared in TFRecord files, with supervised images and class labels.
      split: one of its splits.
      shape: of the images that come out.
      one_size: whether all images have that shape in the files.

    Raises:
      BadInput: the files are damaged or of another format, or hold fewer or more examples than their own description says.
    """
    info = builder.info.splits[split]
    image, label = builder.info.supervised_keys
    paths = [str(path) for path in info.filepaths]
    if not all(".tfrecord-" in path for path in paths):
        sentence = "is prepared in another format; a set of this size is read from TFRecord files: `tfds convert_format` makes them"
        raise BadInput("dataset", builder.name, sentence)
    try:
        records = open_records(paths, label, Path(builder.data_dir) / f".dlth_tf-{split}.npz")
    except (ValueError, OSError) as error:
        raise _damaged(builder, split, str(error)) from error
    return _whole(builder, split, records, image, shape, one_size)


def _whole(
    builder: tfds.core.DatasetBuilder,
    split: str,
    records: Records,
    image: str,
    shape: tuple[int, int, int],
    one_size: bool,
) -> DiskSplit:
    count = builder.info.splits[split].num_examples
    if len(records) != count:
        raise _damaged(builder, split, f"it holds {len(records)} of {count} examples")
    return DiskSplit(ImageRecords(records, image), np.arange(count), records.label, shape, one_size)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An empty uint8 array that TensorFlow can use without a copy."""
    size = int(np.prod(shape, dtype=np.int64))
    room = np.empty(size + ALIGNMENT, np.uint8)
    first = -room.ctypes.data % ALIGNMENT
    return room[first : first + size].reshape(shape)


def _damaged(builder: tfds.core.DatasetBuilder, split: str, why: str) -> BadInput:
    return BadInput(
        "data_dir",
        builder.data_dir,
        f"its {split} split cannot be read; delete that directory and prepare it again ({why})",
    )
