"""Data sets and splits: their sizes, and the arrays they reject."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dlth_tf.data import DataSet, Split
from dlth_tf.errors import BadInput
from dlth_tf.runs.exporting.export_run import _label_names
from tests.data.conftest import random_dataset, random_split

IMAGES = np.zeros((3, 4, 5, 1), np.uint8)
LABELS = np.zeros(3, np.int64)


def test_a_data_set_tells_its_classes_and_its_image_shape() -> None:
    dataset = random_dataset()
    assert (dataset.num_classes, dataset.image_shape, len(dataset.train)) == (3, (4, 5, 3), 30)


def test_sets_and_splits_show_their_sizes_and_no_arrays() -> None:
    dataset = random_dataset()
    assert repr(dataset.train) == "Split(30 images of 4x5x3)"
    sizes = f"30 training, {len(dataset.validation)} validation and {len(dataset.test)} test images"
    assert repr(dataset) == f"DataSet({dataset.name}: {sizes} of 4x5x3, 3 classes)"


@pytest.mark.parametrize(
    ("images", "labels", "thing"),
    [
        (IMAGES.astype(np.complex64), LABELS, "images"),
        (IMAGES[:, 0, 0, 0], LABELS, "images"),
        (IMAGES.astype(np.int64) + 2**31, LABELS, "images"),
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
    ("images", "labels", "ending"),
    [
        (
            np.where(IMAGES == 0, np.nan, 0)[:1],
            LABELS[:1],
            "; 20 of its 20 values are not finite, the first at [0, 0, 0, 0]",
        ),
        (IMAGES, np.array([0, 1, np.nan]), "targets [3, targets]; 1 of its 3 values are not finite, the first at [2]"),
        (IMAGES, np.array([0, 1, 2.5])[:, None, None], "targets [3, targets]; its values range from 0 to 2.5"),
        (
            np.ma.masked_greater(np.arange(12.0).reshape(3, 4), 9),
            LABELS,
            "must have no masked values, and has 2: fill or drop them first",
        ),
        (
            IMAGES,
            np.ma.masked_array([0.5, 1, 2], [True, False, False]),
            "masked values, and has 1: fill or drop them first",
        ),
        (IMAGES, LABELS.astype(np.uint8), "one label per image, or finite targets [3, targets]"),
        (
            np.zeros((3, 3, 8, 8), np.uint8),
            LABELS,
            "have channels first, and must have them last: convert them by images.transpose(0, 2, 3, 1)",
        ),
    ],
)
def test_a_split_tells_what_is_in_numbers_of_another_kind(images: np.ndarray, labels: np.ndarray, ending: str) -> None:
    with pytest.raises(BadInput) as refused:
        Split(images, labels)
    assert str(refused.value).endswith(ending)


@pytest.mark.parametrize(
    ("images", "dtype", "normalization"),
    [
        (np.arange(15.0).reshape(3, 5), "float32", "standard"),
        (np.arange(30, dtype=np.float16).reshape(3, 5, 2), "float32", "standard"),
        (np.arange(15).reshape(3, 5), "int32", "none"),
        (np.arange(15, dtype=np.uint8).reshape(3, 5), "uint8", "standard"),
    ],
)
def test_numbers_of_any_shape_are_examples(images: np.ndarray, dtype: str, normalization: str) -> None:
    split = Split(images, LABELS)
    data = DataSet("mine", split, split, split, ("a",))
    assert (data.dtype, data.image_shape, data.normalization) == (dtype, images.shape[1:], normalization)
    assert repr(split).startswith("Split(3 examples of ") and "examples" in data._repr_html_()


def test_targets_are_columns_of_float32() -> None:
    split = Split(np.ones((3, 5)), np.arange(3.0))
    assert split.labels.tolist() == [[0], [1], [2]]
    assert (DataSet("mine", split, split, split, ("price",)).task, random_dataset().task) == (
        "regression",
        "classification",
    )
    with pytest.raises(BadInput, match="with one column for each of label_names"):
        DataSet("mine", split, split, split, ("price", "size"))


def test_a_label_of_no_class_is_named_with_its_image() -> None:
    labels = np.array([0, 2, 5, 1, -3])
    split = Split(random_split(5).images, labels)
    with pytest.raises(BadInput) as refused:
        random_dataset(test=split)
    assert str(refused.value) == (
        "dataset=random: its test labels range from -3 to 5, and must range from 0 to 2: 2 of 5 do not, the first is 5 "
        "of image 2"
    )


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
        ({"label_names": "abc"}, "its label_names must be a list of texts, and are of type str"),
        ({"label_names": {"a", "b", "c"}}, "its label_names must be a list of texts, and are of type set"),
        ({"label_names": 3}, "its label_names must be a list of texts, and are of type int"),
        ({"label_names": ("a", None, "c")}, r"must be texts or numbers, and label_names\[1\] is of type NoneType"),
        ({"label_names": ("a", "b", "\x1b[31m")}, r"no control characters: label_names\[2\] is '.x1b\[31m'"),
        ({"label_names": ("a", "b", "c" * 1001)}, "at most 1,000 letters"),
        ({"feature_names": ("a", "b")}, "has 2 feature_names, and its examples 3 columns"),
        ({"feature_names": np.array(["a", "b", "\ud800"])}, "no control characters: feature_names"),
        ({"train": (IMAGES, LABELS)}, "its train part must be a Split"),
        ({"normalization": "units"}, "did you mean unit"),
        ({"augment": "flip"}, "no such augment"),
    ],
)
def test_a_data_set_refuses_parts_that_do_not_fit_together(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        random_dataset(**changes)


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (range(3), ("0", "1", "2")),
        (np.arange(3), ("0", "1", "2")),
        ([np.float32(0.1), 2.5, True], ("0.1", "2.5", "True")),
        (np.array(["a", "b", "c"]), ("a", "b", "c")),
        (pd.Index(["New\u00a0York", "\u0645\u06cc\u200c\u0634\u0648\u062f", "\u732b"]), None),
    ],
)
def test_names_may_be_given_as_numbers_and_in_any_list(names: Any, texts: tuple[str, ...] | None) -> None:
    data = random_dataset(label_names=names, feature_names=names)
    assert data.label_names == data.feature_names == (texts or tuple(names))
    assert all(type(name) is str for name in data.label_names)
    assert _label_names(list(data.label_names)) == data.label_names  # an export takes what a run was trained with


def test_data_sets_and_splits_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        random_dataset().train.images = IMAGES
