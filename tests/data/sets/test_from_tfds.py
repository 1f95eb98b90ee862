"""Prepared sets of tensorflow_datasets: splits, sizes, damage, and unusable names."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from dlth_tf.data import BatchFormat, DataSet, DiskSplit, Split, evaluation_batches, load, normalization
from dlth_tf.data.sets import from_tfds, tfds_reader
from dlth_tf.errors import BadInput

# Variant -> (sizes of its splits, shape of its images).
VARIANTS = {
    "train_and_test": ({"train": 40, "test": 12}, (6, 6, 3)),
    "with_validation": ({"train": 40, "validation": 8, "test": 12}, (6, 6, 3)),
    "without_test": ({"train": 40, "validation": 8}, (6, 6, 3)),
    "only_train": ({"train": 40}, (6, 6, 3)),
    "without_labels": ({"train": 4, "test": 4}, (6, 6, 3)),
    "few": ({"train": 4, "test": 4}, (6, 6, 3)),
    "deep": ({"train": 20, "test": 4}, (6, 6, 3)),
    "any_size": ({"train": 40, "test": 12}, (None, None, 3)),
}


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    name = "tiny_shapes"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=variant) for variant in VARIANTS]  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        variant = self.builder_config.name
        dtype = np.uint16 if variant == "deep" else np.uint8
        features = {
            "image": tfds.features.Image(shape=VARIANTS[variant][1], dtype=dtype),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
        keys = None if variant == "without_labels" else ("image", "label")
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=keys)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, object]:
        return {
            split: self._generate_examples(split, count)
            for split, count in VARIANTS[self.builder_config.name][0].items()
        }

    def _generate_examples(self, split: str, count: int) -> object:
        for index in range(count):
            dtype = np.uint16 if self.builder_config.name == "deep" else np.uint8
            size = (6 + index, 12, 3) if self.builder_config.name == "any_size" else (6, 6, 3)
            yield index, {"image": np.full(size, index + 100 * (split == "test"), dtype), "label": index % 2}


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


def pixels(dataset: DataSet, split: str, batch_size: int = 500) -> np.ndarray:
    """Returns the first pixel of every image in evaluation, and its label: float32 [N, 2]."""
    batches = evaluation_batches(getattr(dataset, split), BatchFormat(normalization(dataset, "none")), batch_size)
    return np.concatenate(
        [np.stack([images[:, 0, 0, 0], labels], axis=1) for images, labels in batches.as_numpy_iterator()]
    )


@pytest.mark.fast_cases("validation")
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_set_too_large_for_the_memory_is_read_from_disk_and_is_the_same(
    tiny_dir: str, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = load("tiny_shapes/train_and_test", tiny_dir)
    monkeypatch.setattr(from_tfds, "IN_MEMORY", (40 + 12) * 6 * 6 * 3 - 1)
    on_disk = load("tiny_shapes/train_and_test", tiny_dir)
    assert isinstance(in_memory.train, Split) and isinstance(on_disk.train, DiskSplit)
    np.testing.assert_array_equal(pixels(in_memory, split), pixels(on_disk, split, batch_size=5))
    assert normalization(on_disk) == normalization(in_memory)


def test_images_of_many_sizes_come_as_squares_of_the_size_in_the_name(tiny_dir: str) -> None:
    dataset = load("tiny_shapes/any_size@16", tiny_dir)
    assert (dataset.name, dataset.image_shape, dataset.augment) == (
        "tiny_shapes/any_size@16",
        (16, 16, 3),
        "resized_crop",
    )
    seen = pixels(dataset, "test")
    assert sorted(seen[:, 0]) == list(range(100, 112)) and (seen[:, 1] == seen[:, 0] % 2).all()
    assert load("tiny_shapes/any_size", tiny_dir).image_shape == (224, 224, 3)


def test_no_array_is_held_twice_when_a_validation_split_is_carved(tiny_dir: str) -> None:
    train = load("tiny_shapes/train_and_test", tiny_dir).train.images
    # The front of the array that was read, as TensorFlow can use it.
    assert train.base is not None and train.ctypes.data % 64 == 0


@pytest.mark.parametrize("damage", ["cut", "missing", "other format"])
def test_damaged_files_of_a_set_on_disk_are_named(tiny_dir: str, tmp_path: Path, damage: str) -> None:
    shutil.copytree(Path(tiny_dir, "tiny_shapes", "any_size"), tmp_path / "tiny_shapes" / "any_size")
    (file,) = (tmp_path / "tiny_shapes/any_size/1.0.0").glob("*train.tfrecord*")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "missing":
        file.unlink()
    else:
        info = file.parent / "dataset_info.json"
        info.write_text(
            info.read_text().replace('"tfrecord"', '"array_record"').replace("{FILEFORMAT}", "array_record")
        )
    message = (
        "is prepared in another format"
        if damage == "other format"
        else "its train split cannot be read; delete that directory"
    )
    with pytest.raises(BadInput, match=message):
        load("tiny_shapes/any_size", str(tmp_path))


def spoiled(tiny_dir: str, tmp_path: Path, variant: str, number: int, **feature: bytes | int) -> Path:
    """Copies a set and changes a feature of one record of its training file; returns that file."""
    shutil.copytree(Path(tiny_dir, "tiny_shapes", variant), tmp_path / "tiny_shapes" / variant)
    (file,) = (tmp_path / "tiny_shapes" / variant / "1.0.0").glob("*train.tfrecord*")
    records = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    for name, value in feature.items():
        kind = "int64_list" if isinstance(value, int) else "bytes_list"
        getattr(records[number].features.feature[name], kind).value[0] = value
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    return file


def test_a_broken_image_is_named_by_its_file_and_its_record(tiny_dir: str, tmp_path: Path) -> None:
    file = spoiled(tiny_dir, tmp_path, "train_and_test", 7, image=b"no image")
    with pytest.raises(BadInput, match=rf"its train split cannot be read; .*\(record 7 of {file}: Unknown image file"):
        load("tiny_shapes/train_and_test", str(tmp_path))
    file = spoiled(tiny_dir, tmp_path, "any_size", 7, image=b"no image")
    dataset = load("tiny_shapes/any_size", str(tmp_path))
    with pytest.raises(BadInput, match=rf"1 of its 52 images cannot be read, .*: record 7 of {file} \(it is too short"):
        normalization(dataset, "standard")


@pytest.mark.parametrize("label", [2, -1])
@pytest.mark.parametrize("variant", ["train_and_test", "any_size"])
def test_a_label_of_no_class_is_named_by_its_file_and_its_record(
    tiny_dir: str, tmp_path: Path, variant: str, label: int
) -> None:
    file = spoiled(tiny_dir, tmp_path, variant, 7, label=label)
    with pytest.raises(BadInput, match=rf"the first is {label} of record 7 of {file}"):
        load(f"tiny_shapes/{variant}", str(tmp_path))


def test_files_that_may_not_be_read_are_not_called_damaged(tiny_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(paths: list[str], label: str, saved: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), paths[0])

    monkeypatch.setattr(tfds_reader, "open_records", denied)
    with pytest.raises(BadInput, match=r"its train split cannot be read \(.*Permission denied.*train\.tfrecord"):
        load("tiny_shapes/any_size", tiny_dir)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_shapes/only_train", "must have a train split and a test or validation split, and has train$"),
        ("tiny_shapes/few", "must have 10 training images or more, one of which validates, and has 4"),
        ("tiny_shapes/deep", r"its images must be uint8, and are uint16\[6, 6, 3\]"),
        ("tiny_shapes/train_and_test@64", "its images all have 6 x 6 pixels; leave @64 out"),
        ("tiny_shapes/without_labels", "must be made of images with class labels, and contains image, label"),
        ("tiny_shapes/without_label", "no such variant of tiny_shapes; did you mean without_labels"),
        (
            "tiny_shapes/zzz",
            "no such variant of tiny_shapes; available: train_and_test, with_validation, without_test and 5 more",
        ),
        ("tiny_shape", "no such dataset; did you mean tiny_shapes"),
        ("digit", "no such dataset; did you mean digits"),
        ("CIFAR-10", "no such dataset; did you mean cifar10"),
        ("ok.csv", r"no such dataset; did you mean csv:ok.csv\?$"),
        ("folder/of/Mine.NPZ", r"no such dataset; did you mean npz:folder/of/Mine.NPZ\?$"),
        ("zzzzqqqq", r"package.module:function\. A function of yours is named with its module, as mine:load\.$"),
        ("mine", "A function of yours is named with its module, as mine:load"),
        ("zzzzqqqq", "no such dataset; available: digits, the image sets that"),
        (
            "mnist",
            "is not prepared: there is no .*mnist.*; prepare it once with `tfds build mnist --data_dir=.*`, "
            "or name another data_dir",
        ),
        ("mnist/zzz", "tensorflow_datasets cannot use that name; try plain mnist"),
    ],
)
def test_a_set_that_cannot_be_loaded_is_refused_in_one_sentence(tiny_dir: str, name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load(name, tiny_dir)
    assert caught.value.thing == "dataset" and "\n" not in str(caught.value)


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^data_dir=.*nowhere: must be a directory that exists$"):
        load("fashion_mnist", str(tmp_path / "nowhere"))


@pytest.mark.real_data
@pytest.mark.slow
def test_fashion_mnist_is_read_whole(real_data_dir: str) -> None:
    dataset = load("fashion_mnist", real_data_dir)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [54_000, 6_000, 10_000]
    assert np.bincount(dataset.validation.labels).tolist() == [600] * 10
    assert dataset.label_names[0] == "T-shirt/top" and dataset.image_shape == (28, 28, 1)
    standard = normalization(dataset)  # the numbers that everyone uses for this data set are .2860 and .3530
    np.testing.assert_allclose([standard.mean[0], standard.std[0]], [0.2860, 0.3530], atol=2e-4)
