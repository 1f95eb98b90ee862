"""The images of a data set are in memory once, in training as in evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.data import BatchFormat, BatchOrder, Split, evaluation_batches, train_batches
from dlth_tf.data.host_memory import aligned
from tests.data.conftest import RAW3

MEGABYTES = 200
PAGE = 4096
ORDER = BatchOrder(batch_size=32, seed=0, purpose="x")
CROPPED = BatchFormat(RAW3, augment="crop_flip")


def megabytes() -> float:
    """Returns the memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


@pytest.fixture(scope="module")
def large() -> Split:
    images = aligned((MEGABYTES * 2**20 // 3072, 32, 32, 3))
    images[:] = 7
    return Split(images, np.zeros(len(images), np.int64))


def grown(batches: Iterable) -> float:
    """Returns the MB by which the process grows while batches are read; they are kept until it is measured."""
    before = megabytes()
    iterator = iter(batches)
    read = [next(iterator) for _ in range(3)]
    after = megabytes()
    assert len(read) == 3
    return after - before


LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")


@LINUX
def test_reading_copies_nothing_but_batches(large: Split) -> None:
    train = train_batches(large, ORDER, CROPPED)
    assert grown(train) < MEGABYTES / 2
    assert grown(evaluation_batches(large, CROPPED, 32)) < MEGABYTES / 2


@LINUX
def test_the_measure_sees_a_copy(large: Split) -> None:
    assert grown(large.images.copy() for _ in range(3)) > MEGABYTES / 2


def test_tensorflow_does_not_fold_the_images_into_constants(large: Split) -> None:
    for batches in (
        train_batches(large, ORDER, CROPPED),
        evaluation_batches(large, CROPPED, 32),
    ):
        assert batches.options().experimental_optimization.apply_default_optimizations is False
