"""Reads the prepared files of a tensorflow_datasets builder into memory."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from dlth_tf.data.dataset import Split
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
    """All examples of one split, in the order of the files.

    Args:
      builder: prepared, with supervised images of one size and class labels.
      split: one of its splits.

    Raises:
      BadInput: the files are damaged, or fewer or more examples are in them than their own description says.
    """
    count = builder.info.splits[split].num_examples
    image, _ = builder.info.supervised_keys
    images = np.empty((count, *builder.info.features[image].shape), np.uint8)
    labels = np.empty(count, np.int64)
    done = 0
    try:
        examples = builder.as_dataset(split=split, as_supervised=True, shuffle_files=False)
        for some_images, some_labels in examples.batch(READ_BATCH).as_numpy_iterator():
            after = done + len(some_labels)
            images[done:after], labels[done:after], done = some_images, some_labels, after
    except (tf.errors.OpError, OSError, AssertionError, ValueError) as error:
        raise _damaged(builder, split, str(error).split("\n")[0]) from error
    if done != count:
        raise _damaged(builder, split, f"it holds {done} of {count} examples")
    return Split(images, labels)


def _damaged(builder: tfds.core.DatasetBuilder, split: str, why: str) -> BadInput:
    return BadInput("data_dir", builder.data_dir, f"its {split} split cannot be read; delete that directory and prepare it again ({why})")
