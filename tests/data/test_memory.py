"""The images of a data set are in memory once, however they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import Split, evaluation_batches, train_batches
from dlth_tf.data.pipeline import _on_host
from dlth_tf.data.prepared import aligned
from tests.data.conftest import RAW3

MEGABYTES = 200
PAGE = 4096


RESIDENT, RESERVED = 1, 0  # fields of statm: what is in memory, and what is reserved there (a system may reclaim idle memory)


def megabytes(field: int) -> float:
    """MB of this process, of one kind."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * PAGE / 2**20


@pytest.fixture(scope="module")
def large() -> Split:
    images = aligned((MEGABYTES * 2**20 // 3072, 32, 32, 3))
    images[:] = 7
    return Split(images, np.zeros(len(images), np.int64))


def grown(batches: tf.data.Dataset, field: int = RESIDENT) -> float:
    """MB by which the process grows while the batches are read; they are kept until it is measured."""
    before = megabytes(field)
    iterator = iter(batches)
    for _ in range(3):
        next(iterator)
    return megabytes(field) - before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process the way Linux tells it")
def test_reading_copies_nothing_but_batches(large: Split) -> None:
    train = train_batches(large, batch_size=32, seed=0, stream="x", normalization=RAW3, augment="crop_flip")
    assert grown(train) < MEGABYTES / 2
    assert grown(evaluation_batches(large, normalization=RAW3, batch_size=32)) < MEGABYTES / 2
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = True
    assert grown(train.with_options(options), RESERVED) > MEGABYTES / 2  # what TensorFlow does unless it is told not to


def test_the_pipeline_reads_the_images_of_a_data_set_where_they_lie() -> None:
    images = aligned((30, 4, 4, 3))
    images[:] = 7
    split = Split(images, np.zeros(30, np.int64))
    assert np.from_dlpack(_on_host(split)[0]).ctypes.data == images.ctypes.data
    elsewhere = Split(images[1:], split.labels[1:])  # begins where TensorFlow cannot read
    copied = np.from_dlpack(_on_host(elsewhere)[0])
    assert copied.ctypes.data != elsewhere.images.ctypes.data
    np.testing.assert_array_equal(copied, elsewhere.images)
