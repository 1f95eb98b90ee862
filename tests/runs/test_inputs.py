"""Images for training and for scores: pure functions of (seed, purpose); balanced samples; each image at most once."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.data import NORMALIZATIONS, DataSet, Split, normalization
from dlth_tf.runs.inputs import Inputs

COUNTS = (30, 7, 60)  # of each class


def data() -> DataSet:
    """Every image is its own number, written in its two pixels."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), COUNTS)).astype(np.int64)
    images = np.stack([np.arange(97), 96 - np.arange(97)], 1).astype(np.uint8).reshape(97, 1, 2, 1)
    split = Split(images, labels)
    return DataSet("numbers", split, split, split, ("a", "b", "c"))


def inputs(seed: int = 0, dtype: str = "float32", name: str = "none", augment: str = "none") -> Inputs:
    assert name in NORMALIZATIONS.names()
    return Inputs(data(), normalization(data(), name), seed, augment, dtype)


def numbers(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].astype(int).tolist()


def test_a_batch_is_a_pure_function_of_seed_and_purpose():
    images, labels = inputs().batch("snip", 20)
    assert images.shape == (20, 1, 2, 1) and images.dtype == np.float32 and labels.dtype == np.int64
    assert numbers(inputs().batch("snip", 20)[0]) == numbers(images)
    assert len(set(numbers(images))) == 20 and labels.tolist() == data().train.labels[numbers(images)].tolist()
    for other in (inputs(seed=1).batch("snip", 20), inputs().batch("grasp", 20)):
        assert numbers(other[0]) != numbers(images)


@pytest.mark.parametrize(("per_class", "size"), [(5, 15), (5, 4), (1, 64), (7, 97)])
def test_a_balanced_sample_has_as_many_of_every_class_in_every_batch(per_class, size):
    batches = inputs().balanced("grasp", per_class, size)
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
        labels = np.concatenate([labels for _, labels in inputs().balanced("grasp", 20, size)])
        assert np.bincount(labels).tolist() == [20, 7, 20], "the last ones of an epoch too"


def test_a_balanced_sample_is_a_pure_function_of_seed_and_purpose():
    def drawn(seed: int, purpose: str) -> list[int]:
        return [number for images, _ in inputs(seed).balanced(purpose, 5, 15) for number in numbers(images)]

    assert drawn(0, "grasp") == drawn(0, "grasp")
    assert drawn(0, "grasp") != drawn(1, "grasp") and drawn(0, "grasp") != drawn(0, "snip")


def test_images_are_normalised_and_of_the_dtype_that_was_asked_for():
    raw, unit = (inputs(dtype="float64", name=name).batch("snip", 20)[0] for name in ("none", "unit"))
    assert unit.dtype == np.float64 and np.allclose(unit * 255, raw) and raw.max() > 1


@pytest.mark.parametrize("augment", ["none", "mixup"])
def test_example_labels_have_the_form_of_the_training_batches(augment):
    """Keras chooses the accuracy metric by it, when a run resumes inside an epoch."""
    mine = inputs(augment=augment)
    _, labels = next(iter(mine.training("train", 4)))
    example = mine.example_labels()
    assert example.dtype == labels.dtype and example.shape[1:] == labels.shape[1:]


def test_training_batches_are_augmented_and_samples_are_not():
    mine, plain = inputs(augment="crop_flip"), inputs()
    one, other = (next(iter(each.training("train", 20)))[0].numpy() for each in (mine, plain))
    assert not np.array_equal(one, other) and np.array_equal(mine.batch("snip", 20)[0], plain.batch("snip", 20)[0])


def test_evaluation_has_every_example_once_and_in_order():
    batches = inputs().evaluation()
    assert list(batches) == ["val", "test"]
    for split in batches.values():
        assert [number for images, _ in split for number in numbers(images.numpy())] == list(range(97))
