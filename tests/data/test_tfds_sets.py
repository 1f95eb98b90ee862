from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dlth_tf.data import load, normalization
from dlth_tf.errors import BadInput

# Variant -> (its splits and their sizes, the shape of its images).
VARIANTS = {
    "train_and_test": ({"train": 40, "test": 12}, (6, 6, 3)),
    "with_validation": ({"train": 40, "validation": 8, "test": 12}, (6, 6, 3)),
    "without_test": ({"train": 40, "validation": 8}, (6, 6, 3)),
    "only_train": ({"train": 40}, (6, 6, 3)),
    "any_size": ({"train": 4, "test": 4}, (None, None, 3)),
    "without_labels": ({"train": 4, "test": 4}, (6, 6, 3)),
}


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    name = "tiny_shapes"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=variant) for variant in VARIANTS]  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        variant = self.builder_config.name
        features = {"image": tfds.features.Image(shape=VARIANTS[variant][1]), "label": tfds.features.ClassLabel(names=["a", "b"])}
        keys = None if variant == "without_labels" else ("image", "label")
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=keys)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, object]:
        return {split: self._generate_examples(split, count) for split, count in VARIANTS[self.builder_config.name][0].items()}

    def _generate_examples(self, split: str, count: int) -> object:
        for index in range(count):
            yield index, {"image": np.full((6, 6, 3), index + 100 * (split == "test"), np.uint8), "label": index % 2}


@pytest.fixture(scope="module")
def tiny_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tiny")
    for variant in VARIANTS:
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        TinyShapes(data_dir=path, config=variant).download_and_prepare(download_config=config)
    return str(path)


def sizes(name: str, data_dir: str) -> tuple[int, int, int]:
    dataset = load(name, data_dir)
    return len(dataset.train), len(dataset.validation), len(dataset.test)


def test_a_validation_split_is_carved_from_the_training_split_only_where_there_is_none(tiny_dir: str) -> None:
    assert sizes("tiny_shapes/train_and_test", tiny_dir) == (36, 4, 12)
    assert sizes("tiny_shapes/with_validation", tiny_dir) == (40, 8, 12)
    assert sizes("tiny_shapes/without_test", tiny_dir) == (36, 4, 8)


def test_the_carved_examples_leave_the_training_split_by_class_and_always_the_same_ones(tiny_dir: str) -> None:
    first, again = (load("tiny_shapes/train_and_test", tiny_dir) for _ in range(2))
    train, validation = (set(split.images[:, 0, 0, 0].tolist()) for split in (first.train, first.validation))
    assert train | validation == set(range(40)) and not train & validation
    assert np.bincount(first.validation.labels).tolist() == [2, 2]
    np.testing.assert_array_equal(first.validation.images, again.validation.images)


def test_images_come_as_they_were_stored(tiny_dir: str) -> None:
    dataset = load("tiny_shapes/train_and_test", tiny_dir)
    assert dataset.test.images.dtype == np.uint8 and dataset.label_names == ("a", "b")
    assert sorted(dataset.test.images[:, 5, 5, 2].tolist()) == list(range(100, 112))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_shapes/only_train", "must have a train split and a test or validation split, and has train$"),
        ("tiny_shapes/any_size", r"must be uint8 and all of one size, and are uint8\[None, None, 3\]"),
        ("tiny_shapes/without_labels", "must be made of images with class labels"),
        ("tiny_shapes/without_label", "no such variant of tiny_shapes; did you mean without_labels"),
        ("tiny_shapes/zzz", "no such variant of tiny_shapes; known are train_and_test, with_validation, without_test and 3 more"),
        ("tiny_shape", "no such dataset; did you mean tiny_shapes"),
        ("digit", "no such dataset; did you mean digits"),
        ("CIFAR-10", "no such dataset; did you mean cifar10"),
        ("zzzzqqqq", "no such dataset; known are digits, the image sets that"),
        (
            "mnist",
            "is not prepared: there is no .*mnist.*; prepare it once with `tfds build mnist --data_dir=.*`, or name another data_dir",
        ),
        ("mnist/zzz", "tensorflow_datasets cannot use that name; try plain mnist"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(tiny_dir: str, name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load(name, tiny_dir)
    assert caught.value.thing == "dataset" and "\n" not in str(caught.value)


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^data_dir=.*nowhere: must be a directory that exists$"):
        load("fashion_mnist", str(tmp_path / "nowhere"))


@pytest.mark.real_data
def test_fashion_mnist_is_read_whole(real_data_dir: str) -> None:
    dataset = load("fashion_mnist", real_data_dir)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [54_000, 6_000, 10_000]
    assert np.bincount(dataset.validation.labels).tolist() == [600] * 10
    assert dataset.label_names[0] == "T-shirt/top" and dataset.image_shape == (28, 28, 1)
    standard = normalization(dataset)  # the numbers that everyone uses for this data set are .2860 and .3530
    np.testing.assert_allclose([standard.mean[0], standard.std[0]], [0.2860, 0.3530], atol=2e-4)
