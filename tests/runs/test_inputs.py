"""Images for scores: pure in (seed, purpose), balanced, and each image at most once."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.data import NORMALIZATIONS, DataSet, Split, normalization
from dlth_tf.runs.inputs import Samples

COUNTS = (30, 7, 60)  # of each class


def data() -> DataSet:
    """Every image is its own number, written in its two pixels."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), COUNTS)).astype(np.int64)
    images = np.stack([np.arange(97), 96 - np.arange(97)], 1).astype(np.uint8).reshape(97, 1, 2, 1)
    split = Split(images, labels)
    return DataSet("numbers", split, split, split, ("a", "b", "c"))


def samples(seed: int = 0, dtype: str = "float32", name: str = "none") -> Samples:
    assert name in NORMALIZATIONS.names()
    return Samples(data(), normalization(data(), name), seed, dtype)


def numbers(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].astype(int).tolist()


def test_a_batch_is_a_pure_function_of_seed_and_purpose():
    images, labels = samples().batch("snip", 20)
    assert images.shape == (20, 1, 2, 1) and images.dtype == np.float32 and labels.dtype == np.int64
    assert numbers(samples().batch("snip", 20)[0]) == numbers(images)
    assert len(set(numbers(images))) == 20 and labels.tolist() == data().train.labels[numbers(images)].tolist()
    for other in (samples(seed=1).batch("snip", 20), samples().batch("grasp", 20)):
        assert numbers(other[0]) != numbers(images)


@pytest.mark.parametrize(("per_class", "size"), [(5, 15), (5, 4), (1, 64), (7, 97)])
def test_a_balanced_sample_has_as_many_of_every_class_in_every_batch(per_class, size):
    batches = samples().balanced("grasp", per_class, size)
    labels = np.concatenate([labels for _, labels in batches])
    assert np.bincount(labels).tolist() == [per_class] * 3
    assert [len(found) for _, found in batches] == [size] * (3 * per_class // size) + [3 * per_class % size] * (
        3 * per_class % size > 0
    )
    for images, found in batches:
        counts = np.bincount(found, minlength=3)
        assert counts.max() - counts.min() <= 1
        assert found.tolist() == data().train.labels[numbers(images)].tolist() and images.dtype == np.float32
    drawn = [number for images, _ in batches for number in numbers(images)]
    assert len(set(drawn)) == len(drawn)


def test_of_a_class_with_fewer_images_all_are_there_whatever_the_size_of_a_batch():
    for size in (64, 96):
        labels = np.concatenate([labels for _, labels in samples().balanced("grasp", 20, size)])
        assert np.bincount(labels).tolist() == [20, 7, 20], "the last ones of an epoch too"


def test_a_balanced_sample_is_a_pure_function_of_seed_and_purpose():
    def drawn(seed: int, purpose: str) -> list[int]:
        return [number for images, _ in samples(seed).balanced(purpose, 5, 15) for number in numbers(images)]

    assert drawn(0, "grasp") == drawn(0, "grasp")
    assert drawn(0, "grasp") != drawn(1, "grasp") and drawn(0, "grasp") != drawn(0, "snip")


def test_images_are_normalised_and_of_the_dtype_that_was_asked_for():
    raw, unit = (samples(dtype="float64", name=name).batch("snip", 20)[0] for name in ("none", "unit"))
    assert unit.dtype == np.float64 and np.allclose(unit * 255, raw) and raw.max() > 1
