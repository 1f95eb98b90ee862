"""Images on disk that cannot be read or decoded are named, wherever a pipeline comes upon them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.data import (
    BatchFormat,
    BatchOrder,
    DataSet,
    DiskSplit,
    broken_images_named,
    evaluation_batches,
    load,
    normalization,
    train_batches,
)
from dlth_tf.data.disk_split import ImageRecords
from dlth_tf.errors import BadInput
from tests.data.conftest import RAW3, random_dataset
from tests.data.pictures import jpeg
from tests.data.sets.test_folder import folder
from tests.data.test_tfrecord_index import example, opened, shard

L = tf_keras.layers
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
JPEG = tf.io.encode_jpeg(NOISE).numpy()
PNG = tf.io.encode_png(NOISE).numpy()
BMP = b"BM" + struct.pack("<IIIIiiHHIIiiII", 62, 0, 54, 40, 1, 1, 1, 24, 0, 8, 0, 0, 0, 0) + bytes(8)


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def replace_by_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGE = {  # what happens to a file -> the reason in the sentence
    "head of a JPEG": (write(JPEG[:300]), "JPEG"),
    "most of a JPEG": (write(JPEG[:-200]), "JPEG"),
    "head of a PNG": (write(PNG[:200]), "PNG"),
    "empty": (write(b""), "too short for an image"),
    "web page": (write(b"<html>404 Not Found</html>"), "neither a JPEG nor a PNG"),
    "GIF": (
        write(b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"),
        "neither a JPEG nor a PNG",
    ),
    "BMP": (write(BMP), "neither a JPEG nor a PNG"),
    "WebP": (write(b"RIFF\x24\0\0\0WEBPVP8 " + bytes(24)), "neither a JPEG nor a PNG"),
    "too many pixels": (write(PNG[:16] + struct.pack(">II", 12_000, 9_000) + PNG[24:]), "it states 108000000 pixels"),
    "gone": (Path.unlink, "No such file or directory"),
    "folder": (replace_by_folder, "Is a directory"),
    "link to nothing": (replace_by_link_to_nothing, "No such file or directory"),
    "link to itself": (replace_by_link_to_itself, "symbolic links"),
}


def fit(dataset: DataSet) -> None:
    model = tf_keras.Sequential([L.Flatten(input_shape=dataset.image_shape), L.Dense(2)])
    model.compile("sgd", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), steps_per_execution=3)
    order = BatchOrder(6, seed=0, purpose="train")
    model.fit(train_batches(dataset.train, order, BatchFormat(RAW3, dataset.augment)), steps_per_epoch=6, verbose=0)


def evaluate(dataset: DataSet) -> None:
    list(evaluation_batches(dataset.train, BatchFormat(RAW3)).as_numpy_iterator())


MOMENTS = {"fit": fit, "evaluation": evaluate, "normalization": normalization}


def broken_path(dataset: DataSet) -> Path:
    assert isinstance(dataset.train, DiskSplit)
    return Path(dataset.train.where(17))


def picture_of(label: int) -> bytes:
    features = tf.train.Example.FromString(example(label, 0)).features
    features.feature["image"].bytes_list.value[0] = JPEG
    return tf.train.Example(features=features).SerializeToString()


@pytest.fixture
def on_disk(tmp_path: Path) -> DataSet:
    return load(f"folder:{folder(tmp_path, train=40, test=6)}@16")


@pytest.mark.fast_cases(
    "most of a JPEG-evaluation",
    "web page-evaluation",
    "too many pixels-evaluation",
    "link to itself-evaluation",
    "empty-fit",
    "most of a JPEG-normalization",
)
@pytest.mark.slow_cases("head of a JPEG-*", "GIF-*", "WebP-*", "gone-evaluation", "folder-evaluation")
@pytest.mark.parametrize(
    ("damage", "moment"),
    [
        *((damage, "evaluation") for damage in DAMAGE),
        ("empty", "fit"),
        ("gone", "fit"),
        ("most of a JPEG", "normalization"),
    ],
)
def test_a_broken_image_is_named_by_its_path_in_one_sentence(on_disk: DataSet, damage: str, moment: str) -> None:
    destroy, why = DAMAGE[damage]
    path = broken_path(on_disk)
    destroy(path)
    with pytest.raises(BadInput) as refused, broken_images_named(on_disk):
        MOMENTS[moment](on_disk)
    sentence = str(refused.value)
    start = f"dataset={on_disk.name}: 1 of its 46 images cannot be read, and must be repaired or removed: {path} ("
    assert sentence.startswith(start) and why in sentence.removeprefix(start)
    assert "\n" not in sentence and "{{" not in sentence and "Op:" not in sentence and sentence.endswith(")")


def test_a_single_image_that_is_read_outside_a_pipeline_is_named_too(on_disk: DataSet) -> None:
    broken_path(on_disk).write_bytes(b"")
    with pytest.raises(BadInput) as refused:
        on_disk.train.image(tf.constant(17, tf.int64))
    assert str(refused.value) == f"image={broken_path(on_disk)}: cannot be read (it is too short for an image)"


@pytest.mark.parametrize(("count", "ending"), [(2, ")"), (3, ")"), (5, "), ...")])
def test_all_broken_images_are_counted_and_the_first_are_named(on_disk: DataSet, count: int, ending: str) -> None:
    for place in range(count):
        Path(on_disk.train.where(place)).write_bytes(b"")
    with pytest.raises(BadInput) as refused:
        normalization(on_disk)
    assert str(refused.value).endswith(ending) and f": {count} of its 46 images" in str(refused.value)
    assert str(refused.value).count("(it is too short for an image)") == min(count, 3)


def test_an_error_of_something_else_is_raised_as_it_is(on_disk: DataSet) -> None:
    for dataset in (on_disk, random_dataset()):
        with pytest.raises(tf.errors.InvalidArgumentError, match="elsewhere"), broken_images_named(dataset):
            tf.debugging.assert_equal(1, 2, "elsewhere")
        with pytest.raises(tf.errors.InvalidArgumentError, match="IteratorGetNext"), broken_images_named(dataset):
            list(tf.data.Dataset.range(1).map(lambda number: tf.ones(2)[number + 5]))
        with pytest.raises(KeyError), broken_images_named(dataset):
            raise KeyError


def test_the_record_of_a_broken_image_is_named_with_its_file(tmp_path: Path) -> None:
    paths = [shard(tmp_path / "a", [example(0, 3)] * 2), shard(tmp_path / "b", [example(1, 9)] * 3)]
    records = opened(paths, tmp_path / "index")
    split = DiskSplit(ImageRecords(records, "image"), np.array([4, 1]), records.label[[4, 1]], (8, 8, 3))
    assert [split.where(place) for place in (0, 1)] == [f"record 2 of {paths[1]}", f"record 1 of {paths[0]}"]
    assert split.why_unreadable(0) == "it is too short for an image"


def test_a_record_that_was_cut_off_after_it_was_indexed_is_named(tmp_path: Path) -> None:
    path = shard(tmp_path / "a", [picture_of(0), picture_of(1)])
    records = opened([path], tmp_path / "index")
    os.truncate(path, os.path.getsize(path) - 500)
    split = DiskSplit(ImageRecords(records, "image"), np.arange(2), records.label, (8, 8, 3))
    with pytest.raises(BadInput, match=rf": record 1 of {path} \(is not an example"):
        normalization(random_dataset(test=split, validation=split, train=split))
    assert [split.why_unreadable(place) for place in (0, 1)] == [None, "is not an example that TensorFlow can parse"]


def test_an_image_of_another_size_in_a_set_of_one_size_is_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(9, 16, 16))
    (tmp_path / "b.jpg").write_bytes(jpeg(9, 16, 17))
    source = load(f"folder:{folder(tmp_path / 'set', train=40, test=6)}@16").train.source
    source = type(source)([str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")])  # type: ignore[call-arg]
    split = DiskSplit(source, np.arange(2), np.zeros(2, np.int64), (16, 16, 3), one_size=True)
    assert [split.why_unreadable(place) for place in (0, 1)] == [
        None,
        "has the shape [16, 17, 3] instead of [16, 16, 3]",
    ]
