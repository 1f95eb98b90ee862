"""The images of a data set are in memory once, however they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.data import BatchFormat, BatchOrder, Split, evaluation_batches, train_batches
from dlth_tf.data.host_memory import aligned, shared_tensor
from tests.data.conftest import RAW3

MEGABYTES = 200
PAGE = 4096
ORDER = BatchOrder(batch_size=32, seed=0, purpose="x")
CROPPED = BatchFormat(RAW3, augment="crop_flip")


def megabytes() -> float:
    """MB of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


@pytest.fixture(scope="module")
def large() -> Split:
    images = aligned((MEGABYTES * 2**20 // 3072, 32, 32, 3))
    images[:] = 7
    return Split(images, np.zeros(len(images), np.int64))


def grown(batches: Iterable) -> float:
    """MB by which the process grows while the batches are read; they are kept until it is measured."""
    before = megabytes()
    iterator = iter(batches)
    read = [next(iterator) for _ in range(3)]
    after = megabytes()
    assert len(read) == 3
    return after - before


LINUX = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads the memory of a process the way Linux tells it"
)


@LINUX
def test_reading_copies_nothing_but_batches(large: Split) -> None:
    train = train_batches(large, ORDER, CROPPED)
    assert grown(train) < MEGABYTES / 2
    assert grown(evaluation_batches(large, CROPPED, 32)) < MEGABYTES / 2


@LINUX
def test_the_measure_sees_a_copy(large: Split) -> None:
    assert grown(large.images.copy() for _ in range(3)) > MEGABYTES / 2


def test_tensorflow_is_told_not_to_fold_the_images_into_constants(large: Split) -> None:
    for batches in (
        train_batches(large, ORDER, CROPPED),
        evaluation_batches(large, CROPPED, 32),
    ):
        assert batches.options().experimental_optimization.apply_default_optimizations is False


def test_the_pipeline_reads_the_images_of_a_data_set_where_they_lie() -> None:
    images = aligned((30, 4, 4, 3))
    images[:] = 7
    assert np.from_dlpack(shared_tensor(images)).ctypes.data == images.ctypes.data
    unaligned = images[1:]
    copied = np.from_dlpack(shared_tensor(unaligned))
    assert copied.ctypes.data != unaligned.ctypes.data
    np.testing.assert_array_equal(copied, unaligned)
