"""Small sets of tensorflow_datasets: their builders prepare synthetic images, `sets/from_tfds.py` loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dlth_tf.data import DATASETS, BatchFormat, BatchOrder, Split, load, normalization, train_batches
from dlth_tf.data.names import SIZED, SMALL
from dlth_tf.data.sets import from_tfds
from dlth_tf.errors import BadInput
from tests.data.conftest import random_dataset
from tests.data.pictures import prepare

EXPECTED = {
    "mnist": ((28, 28, 1), 10, "none"),
    "fashion_mnist": ((28, 28, 1), 10, "none"),
    "cifar10": ((32, 32, 3), 10, "crop_flip"),
    "cifar100": ((32, 32, 3), 100, "crop_flip"),
    "svhn_cropped": ((32, 32, 3), 10, "none"),
}


@pytest.mark.fast_cases("mnist", "cifar10")
@pytest.mark.parametrize("name", SMALL)
def test_every_small_set_loads_and_trains(name: str, tmp_path: Path) -> None:
    features = tfds.builder(name, data_dir=tmp_path).info.features
    drawn = np.random.default_rng(0)

    def example(split: str, number: int) -> dict[str, Any]:
        image = drawn.integers(0, 256, EXPECTED[name][0], dtype=np.uint8)
        others = {feature: "x" if feature == "id" else 0 for feature in features}
        return {**others, "image": image, "label": number % EXPECTED[name][1]}

    dataset = load(name, prepare(name, tmp_path, {"train": 60, "test": 60}, example))
    assert (dataset.image_shape, dataset.num_classes, dataset.augment) == EXPECTED[name]
    assert isinstance(dataset.train, Split)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [54, 6, 60]
    form = BatchFormat(normalization(dataset), dataset.augment)
    batches = train_batches(dataset.train, BatchOrder(16, 0, "x", steps=1), form)
    ((images, labels),) = batches.as_numpy_iterator()
    assert images.shape == (16, *dataset.image_shape) and labels.dtype == np.int64


def test_every_registered_set_has_a_test() -> None:
    # In test_digits, test_tiny_imagenet, here, and in test_imagenet.
    assert set(DATASETS.names()) == {"digits", "tiny_imagenet", *SMALL, *SIZED}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_set_has_no_file_of_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DATASETS.load(name) is from_tfds.load
    calls = []
    monkeypatch.setattr(from_tfds, "load", lambda *arguments: calls.append(arguments) or random_dataset(name=name))
    assert load(name, str(tmp_path)).name == name
    assert calls == [(name, str(tmp_path), None)]


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_set_of_one_size_has_no_other(name: str) -> None:
    if name in SIZED:
        assert DATASETS.load(name)
    else:
        with pytest.raises(BadInput, match="its images all have one size; leave @64 out"):
            load(f"{name}@64")
