"""The normalizations of `--normalization`, computed from the pixels of a data set."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.data import DataSet, normalization, pixel_statistics
from dlth_tf.errors import BadInput
from tests.data.conftest import random_dataset, random_split


def test_standard_gives_the_training_split_mean_0_and_deviation_1_per_channel() -> None:
    dataset = random_dataset()
    values = normalization(dataset, "standard")(dataset.train.images, "float64").numpy()
    np.testing.assert_allclose(values.mean(axis=(0, 1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=(0, 1, 2)), 1.0, atol=1e-12)


def test_standard_does_not_look_at_the_test_split() -> None:
    assert normalization(random_dataset(), "standard") == normalization(
        random_dataset(test=random_split(9, seed=7)), "standard"
    )
    assert normalization(random_dataset(), "standard") != normalization(
        random_dataset(train=random_split(9, seed=7)), "standard"
    )


def test_standard_is_the_same_however_the_images_are_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = normalization(random_dataset(), "standard")
    monkeypatch.setattr(pixel_statistics, "CHUNK", 7)
    assert normalization(random_dataset(), "standard") == whole


def test_a_constant_channel_becomes_0_and_not_infinite() -> None:
    train = random_split(30)
    train.images[..., 1] = 9
    values = normalization(random_dataset(train=train), "standard")(train.images).numpy()
    np.testing.assert_allclose(values[..., 1], 0.0, atol=1e-6)


def test_unit_divides_by_the_value_range_and_is_what_digits_use(digits: DataSet) -> None:
    values = normalization(digits)(digits.train.images).numpy()
    np.testing.assert_array_equal(values, digits.train.images.astype(np.float32) / 16)
    assert values.max() == 1.0


def test_none_leaves_the_values_as_they_are(digits: DataSet) -> None:
    np.testing.assert_array_equal(
        normalization(digits, "none")(digits.test.images).numpy(), digits.test.images.astype(np.float32)
    )


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="normalization=standart: no such normalization; did you mean standard"):
        normalization(random_dataset(), "standart")


def test_imagenet_needs_three_channels() -> None:
    gray = {part: random_split(9, (4, 5, 1)) for part in ("train", "validation", "test")}
    assert normalization(random_dataset(), "imagenet").mean == pixel_statistics.IMAGENET_MEAN
    with pytest.raises(BadInput, match="normalization=imagenet: needs images with 3 channels, and these have 1"):
        normalization(random_dataset(**gray), "imagenet")
