"""ImageNet and 200 of its classes: its own builder prepares small images in its own files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dlth_tf.data import BatchFormat, BatchOrder, DiskSplit, evaluation_batches, load, normalization, train_batches
from dlth_tf.data.sets.imagenet import class_names
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator
from tests.data.pictures import jpeg, prepare

COUNTS = {"train": 3000, "validation": 1000}


@pytest.fixture(scope="module")
def imagenet_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every class has 3 training images and 1 to test on; the gray value of an image is its class number modulo 256."""
    pictures = [jpeg(gray, 20, 30) for gray in range(256)]

    def example(split: str, number: int) -> dict[str, Any]:
        return {
            "image": io.BytesIO(pictures[number % 1000 % 256]),
            "label": number % 1000,
            "file_name": f"{split}_{number}.JPEG",
        }

    return prepare("imagenet2012", tmp_path_factory.mktemp("imagenet"), COUNTS, example)


def test_imagenet_is_tested_on_the_official_validation_split(imagenet_dir: str) -> None:
    dataset = load("imagenet2012@32", imagenet_dir)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [2700, 300, 1000]
    assert dataset.num_classes == 1000 and dataset.label_names[0] == "n01440764" and dataset.image_shape == (32, 32, 3)
    assert (dataset.augment, dataset.normalization) == ("resized_crop", "imagenet")
    assert not set(dataset.train.indices) & set(dataset.validation.indices)
    assert load("imagenet2012", imagenet_dir).image_shape == (224, 224, 3)


def test_images_and_labels_come_together(imagenet_dir: str) -> None:
    dataset = load("imagenet2012@32", imagenet_dir)
    form = BatchFormat(normalization(dataset, "none"), dataset.augment)
    for batches in (
        evaluation_batches(dataset.test, form),
        train_batches(dataset.train, BatchOrder(64, 0, "x", steps=2), form),
    ):
        for images, labels in batches.as_numpy_iterator():
            np.testing.assert_array_equal(images, np.broadcast_to(labels[:, None, None, None] % 256, images.shape))


def test_imagenet200_is_200_of_the_classes_renumbered(imagenet_dir: str) -> None:
    dataset = load("imagenet200@16", imagenet_dir)
    whole = load("imagenet2012@16", imagenet_dir)
    assert dataset.label_names == class_names() and dataset.num_classes == 200 and dataset.name == "imagenet200@16"
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [540, 60, 200]
    images, labels = next(
        evaluation_batches(dataset.test, BatchFormat(normalization(whole, "none"))).as_numpy_iterator()
    )
    numbers = np.array([whole.label_names.index(name) for name in dataset.label_names])
    np.testing.assert_array_equal(images[:, 0, 0, 0], numbers[labels] % 256)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(part, DiskSplit) and set(part.labels) <= set(range(200))


def test_the_list_of_200_classes_is_the_recorded_draw() -> None:
    names = tfds.builder_cls("imagenet2012").code_path.parent.joinpath("labels.txt").read_text().split()
    drawn = np.argsort(generator(0, "imagenet200").bit_generator.random_raw(1000), kind="stable")[:200]
    assert class_names() == tuple(names[number] for number in sorted(drawn))


def test_without_the_data_one_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    for name in ("imagenet2012", "imagenet200@64"):
        with pytest.raises(BadInput) as caught:
            load(name, str(tmp_path))
        sentence = str(caught.value)
        assert "is not prepared: there is no" in sentence and "\n" not in sentence
        assert f"into {tmp_path}/downloads/manual and run `tfds build imagenet2012 --data_dir={tmp_path}`" in sentence
    assert list(tmp_path.iterdir()) == []
