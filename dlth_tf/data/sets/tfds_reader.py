"""Reads the prepared files of a tensorflow_datasets builder, into memory or as an index of their places on disk."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from dlth_tf.data.dataset import Split
from dlth_tf.data.disk_split import DiskSplit, ImageRecords, bounded
from dlth_tf.data.host_memory import aligned
from dlth_tf.data.tfrecord_index import Records, open_records
from dlth_tf.errors import BadInput

READ_BATCH = 512  # images decoded at a time


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences tensorflow_datasets, which prints about downloads that do not happen; errors tell what went wrong."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


@tfds.decode.make_decoder()
def _bounded_image(encoded: tf.Tensor, feature: tfds.features.Image, pixels: int) -> tf.Tensor:
    """Decodes an image that states no more pixels than all images of the set have."""
    return feature.decode_example(bounded(encoded, pixels))


def read(builder: tfds.core.DatasetBuilder, split: str) -> Split:
    """Reads all examples of a split into memory, in the order of the files.

    Args:
      builder: Builder of a prepared set, with supervised images of one size and class labels.
      split: Name of the split.

    Raises:
      BadInput: If the files are damaged, or contain another number of examples than their own description states.
    """
    count = builder.info.splits[split].num_examples
    image, _ = builder.info.supervised_keys
    shape = builder.info.features[image].shape
    images = aligned((count, *shape))
    labels = np.empty(count, np.int64)
    done = 0
    try:
        decoders = {image: _bounded_image(math.prod(shape[:2]))}
        examples = builder.as_dataset(split=split, as_supervised=True, shuffle_files=False, decoders=decoders)
        for batch_images, batch_labels in examples.batch(READ_BATCH).as_numpy_iterator():
            after = done + len(batch_labels)
            images[done:after] = batch_images
            labels[done:after] = batch_labels
            done = after
    except (tf.errors.OpError, OSError, AssertionError, ValueError, NotImplementedError) as error:
        raise _damaged(builder, split, str(error).split("\n")[0]) from error
    if done != count:
        raise _damaged(builder, split, f"it contains {done} of {count} examples")
    return Split(images, labels)


def on_disk(builder: tfds.core.DatasetBuilder, split: str, shape: tuple[int, int, int], one_size: bool) -> DiskSplit:
    """Indexes all examples of a split, which stay on disk, in the order of the files.

    Args:
      builder: Builder of a set prepared in TFRecord files, with supervised images and class labels.
      split: Name of the split.
      shape: Height, width and channels of the decoded images.
      one_size: Whether all images have that shape in the files.

    Raises:
      BadInput: If the files are damaged or in another format, or contain another number of examples than their own
        description states.
    """
    image, label = builder.info.supervised_keys
    records = _records(builder, split, label)
    return DiskSplit(ImageRecords(records, image), np.arange(len(records)), records.label, shape, one_size)


def _records(builder: tfds.core.DatasetBuilder, split: str, label: str) -> Records:
    info = builder.info.splits[split]
    paths = [str(path) for path in info.filepaths]
    if not all(".tfrecord-" in path for path in paths):
        raise BadInput(
            "dataset",
            builder.name,
            "is prepared in another format; a set of this size is read from TFRecord files: `tfds convert_format` "
            "creates them",
        )
    try:
        records = open_records(paths, label, Path(builder.data_dir) / f".dlth_tf-{split}.npz")
    except (ValueError, OSError) as error:
        raise _damaged(builder, split, str(error)) from error
    if len(records) != info.num_examples:
        raise _damaged(builder, split, f"it contains {len(records)} of {info.num_examples} examples")
    return records


def _damaged(builder: tfds.core.DatasetBuilder, split: str, why: str) -> BadInput:
    return BadInput(
        "data_dir",
        builder.data_dir,
        f"its {split} split cannot be read; delete that directory and prepare it again ({why})",
    )
