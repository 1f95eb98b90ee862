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
from dlth_tf.data.disk_split import DiskSplit, ImageRecords, bounded, reason_of
from dlth_tf.data.host_memory import aligned
from dlth_tf.data.tfrecord_index import Records, open_records
from dlth_tf.errors import BadInput

READ_BATCH = 512  # images decoded at a time
MOST_SHARDS = 100_000  # files of a split
TFRECORD = ".tfrecord-"  # in the names of the files of that format


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


def check_files(builder: tfds.core.DatasetBuilder, split: str) -> None:
    """Checks that the description of a split, which has a template for names of files, names files of its own folder.

    Args:
      builder: Builder of a prepared set, which may be somebody else's.
      split: Name of the split.

    Raises:
      BadInput: If a file lies elsewhere, or there are very many.
    """
    folder = Path(builder.data_dir)
    info = builder.info.splits[split]
    if info.num_shards > MOST_SHARDS:
        raise BadInput("data_dir", folder, f"its {split} split must have at most {MOST_SHARDS:,} files")
    if any(Path(path).parent != folder for path in info.filepaths):
        raise BadInput("data_dir", folder, f"its {split} split must consist of files in that folder")


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
    check_files(builder, split)
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
        why = _first_fault(builder, split) or str(error).split("\n")[0]
        raise _unusable(builder, split, why, error) from error
    if done != count:
        raise _unusable(builder, split, f"it contains {done} of {count} examples")
    _check_labels(builder, split, labels)
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
    check_files(builder, split)
    image, label = builder.info.supervised_keys
    records = _records(builder, split, label)
    return DiskSplit(ImageRecords(records, image), np.arange(len(records)), records.label, shape, one_size)


def _records(builder: tfds.core.DatasetBuilder, split: str, label: str) -> Records:
    info = builder.info.splits[split]
    paths = [str(path) for path in info.filepaths]
    if not all(TFRECORD in path for path in paths):
        raise BadInput(
            "dataset",
            builder.name,
            "is prepared in another format; a set of this size is read from TFRecord files: `tfds convert_format` "
            "creates them",
        )
    try:
        records = open_records(paths, label, Path(builder.data_dir) / f".dlth_tf-{split}.npz")
    except (ValueError, OSError) as error:
        raise _unusable(builder, split, str(error), error) from error
    if len(records) != info.num_examples:
        raise _unusable(builder, split, f"it contains {len(records)} of {info.num_examples} examples")
    return records


def _check_labels(builder: tfds.core.DatasetBuilder, split: str, labels: np.ndarray) -> None:
    """Raises BadInput if a label, in the order of the files, is not that of a class; names its record."""
    info = builder.info.splits[split]
    classes = builder.info.features[builder.info.supervised_keys[1]].num_classes
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        ends = np.cumsum(info.shard_lengths)
        shard = int(np.searchsorted(ends, wrong[0], side="right"))
        number = wrong[0] - (ends[shard] - info.shard_lengths[shard])
        where = f"record {number} of {info.filepaths[shard]}"
        why = f"{len(wrong)} of {len(labels)} labels are not from 0 to {classes - 1}, the first is {labels[wrong[0]]}"
        raise _unusable(builder, split, f"{why} of {where}")


def _first_fault(builder: tfds.core.DatasetBuilder, split: str) -> str | None:
    """Returns the file at which the reading of a split fails, the record in it, and the reason; None if none fails."""
    for path in builder.info.splits[split].filepaths:
        if TFRECORD not in str(path):
            return None
        number = 0
        try:
            for number, record in enumerate(tf.data.TFRecordDataset(str(path))):
                builder.info.features.deserialize_example(record)
                number += 1
        except (tf.errors.OpError, ValueError) as error:
            return f"record {number} of {path}: {reason_of(error)}"
    return None


def _unusable(builder: tfds.core.DatasetBuilder, split: str, why: str, error: Exception | None = None) -> BadInput:
    remedy = "; delete that directory and prepare it again"
    if isinstance(error, PermissionError | tf.errors.PermissionDeniedError):  # the files may be as they should be
        remedy = ""
    return BadInput("data_dir", builder.data_dir, f"its {split} split cannot be read{remedy} ({why})")
