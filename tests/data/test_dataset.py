"""Data sets and splits: their sizes, and the arrays they reject."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dlth_tf.data import Split
from dlth_tf.errors import BadInput
from tests.data.conftest import random_dataset, random_split

IMAGES = np.zeros((3, 4, 5, 1), np.uint8)
LABELS = np.zeros(3, np.int64)


def test_a_data_set_tells_its_classes_and_its_image_shape() -> None:
    dataset = random_dataset()
    assert (dataset.num_classes, dataset.image_shape, len(dataset.train)) == (3, (4, 5, 3), 30)


@pytest.mark.parametrize(
    ("images", "labels", "thing"),
    [
        (IMAGES.astype(np.float32), LABELS, "images"),
        (IMAGES[..., 0], LABELS, "images"),
        (IMAGES[:0], LABELS[:0], "images"),
        (IMAGES.tolist(), LABELS, "images"),
        (IMAGES, LABELS.astype(np.int32), "labels"),
        (IMAGES, LABELS[:2], "labels"),
        (IMAGES, LABELS[:, None], "labels"),
    ],
)
def test_a_split_refuses_other_shapes_and_dtypes(images: object, labels: object, thing: str) -> None:
    with pytest.raises(BadInput) as caught:
        Split(images, labels)
    assert caught.value.thing == thing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": random_split(5, shape=(4, 4, 3))}, "its test images and its training images differ in shape"),
        (
            {"validation": random_split(5, classes=4)},
            "its validation labels range from 0 to 3, and must range from 0 to 2",
        ),
        ({"value_range": 16}, "value_range allows at most 16"),
        ({"label_names": ()}, "must range from 0 to -1"),
        ({"train": (IMAGES, LABELS)}, "its train part must be a Split"),
        ({"normalization": "units"}, "did you mean unit"),
        ({"augment": "flip"}, "no such augment"),
    ],
)
def test_a_data_set_refuses_parts_that_do_not_fit_together(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        random_dataset(**changes)


def test_data_sets_and_splits_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        random_dataset().train.images = IMAGES
