"""Splits on disk: reading by index, cropping while decoding, and their batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import BatchFormat, BatchOrder, DataSet, DiskSplit, evaluation_batches, train_batches
from dlth_tf.data.disk_split import ImageFiles, ImageRecords, decoded
from dlth_tf.data.tfrecord_index import Records
from dlth_tf.errors import BadInput
from tests.data.conftest import RAW3
from tests.data.test_tfrecord_index import example, opened, shard

COUNT = 40
BATCH = 8
SHAPE = (16, 16, 3)


def jpeg(picture: np.ndarray | tf.Tensor) -> tf.Tensor:
    return tf.io.encode_jpeg(picture, quality=100, chroma_downsampling=False)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> DiskSplit:
    """Smooth pictures of many sizes, JPEG and PNG; the labels are their numbers."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number in range(COUNT):
        height = 20 + number
        width = 60 - number
        rows, columns = np.meshgrid(np.linspace(0, 200, height), np.linspace(0, 200, width), indexing="ij")
        picture = np.stack([rows, columns, np.full_like(rows, 5 * number)], -1).astype(np.uint8)
        paths.append(str(folder / f"{number}.picture"))
        Path(paths[-1]).write_bytes((jpeg(picture) if number % 2 else tf.io.encode_png(picture)).numpy())
    return DiskSplit(ImageFiles(paths), np.arange(COUNT), np.arange(COUNT), SHAPE)


def batches(
    on_disk: DiskSplit, start: int, steps: int, augment: str = "resized_crop"
) -> list[tuple[np.ndarray, np.ndarray]]:
    order = BatchOrder(BATCH, 1, "x", start, steps)
    return list(train_batches(on_disk, order, BatchFormat(RAW3, augment, num_classes=COUNT)).as_numpy_iterator())


def test_it_shows_its_size_and_no_arrays(on_disk: DiskSplit) -> None:
    assert repr(on_disk) == f"DiskSplit({COUNT} images on disk, decoded to {'x'.join(map(str, SHAPE))})"


def test_labels_stay_with_their_images_and_an_epoch_takes_none_twice(on_disk: DiskSplit) -> None:
    epoch = batches(on_disk, 0, COUNT // BATCH)
    for images, labels in epoch:
        expected = np.broadcast_to(5 * labels[:, None, None], images.shape[:-1])
        np.testing.assert_allclose(images[..., 2], expected, atol=4)  # JPEG rounds
    assert sorted(np.concatenate([labels for _, labels in epoch])) == list(range(COUNT))


@pytest.mark.fast_cases("resized_crop+mixup")
@pytest.mark.parametrize("augment", ["none", "resized_crop", "crop_flip+cutout", "resized_crop+mixup"])
def test_a_batch_depends_on_its_step_and_not_on_where_the_pipeline_started(on_disk: DiskSplit, augment: str) -> None:
    whole = batches(on_disk, 0, 12, augment)
    for (images, labels), (late_images, late_labels) in zip(whole[7:], batches(on_disk, 7, 5, augment), strict=True):
        np.testing.assert_array_equal(images, late_images)
        np.testing.assert_array_equal(labels, late_labels)


def test_epochs_differ_in_order_and_in_crops(on_disk: DiskSplit) -> None:
    one = on_disk.subset(np.zeros(BATCH, np.int64))  # the same picture eight times
    images = np.concatenate([images for images, _ in batches(one, 0, 3)])
    assert len({image.tobytes() for image in images}) > 20
    assert not np.array_equal(batches(on_disk, 0, 1)[0][1], batches(on_disk, COUNT // BATCH, 1)[0][1])


def test_a_late_start_reads_nothing_that_it_does_not_need(
    on_disk: DiskSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tf.io.encode_png(np.zeros(SHAPE, np.uint8)).numpy()
    records = opened([shard(tmp_path / "a", [example(0, 0)] * COUNT)], tmp_path / "index")
    reads = []

    def read(self: Records, index: int) -> bytes:
        reads.append(index)
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
        return tf.train.Example(features=tf.train.Features(feature={"image": feature})).SerializeToString()

    monkeypatch.setattr(Records, "read", read)
    in_records = DiskSplit(ImageRecords(records, "image"), np.arange(COUNT), records.label, SHAPE, one_size=True)
    assert len(batches(in_records, 10**9, 3, "none")) == 3
    assert len(reads) == 3 * BATCH


def test_evaluation_cuts_out_the_middle_of_every_picture_in_order(on_disk: DiskSplit) -> None:
    dataset = evaluation_batches(on_disk, BatchFormat(RAW3), 9)
    evaluation = list(dataset.as_numpy_iterator())
    assert [len(labels) for _, labels in evaluation] == [9, 9, 9, 9, 4]
    assert dataset.cardinality() == 5
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in evaluation]), np.arange(COUNT))
    images = np.concatenate([images for images, _ in evaluation])
    center = images[:, 7:9, 7:9, :2].mean(axis=(1, 2))  # both ramps are at 100 in the middle; half a pixel is up to 5
    np.testing.assert_allclose(center, 100, atol=9)
    height = 20 + np.arange(COUNT)
    width = 60 - np.arange(COUNT)
    # The share of the height between the middles of the first and last row.
    seen = (images[:, -1, 8, 0] - images[:, 0, 8, 0]) / 200
    np.testing.assert_allclose(seen, np.minimum(height, width) * 224 / 256 * 15 / 16 / height, atol=0.06)


def test_a_random_crop_of_a_jpeg_is_that_of_the_same_picture_as_png(on_disk: DiskSplit) -> None:
    picture = tf.io.decode_image(tf.io.read_file(on_disk.source.paths[9]))
    seeds = [tf.constant([3, number], tf.int64) for number in range(20)]
    from_jpeg, from_png = (
        np.array([decoded(encode(picture), SHAPE, seed, False) for seed in seeds], np.float32)
        for encode in (jpeg, tf.io.encode_png)
    )
    assert np.abs(from_jpeg - from_png).mean() < 2 and len({image.tobytes() for image in from_png}) == 20


def test_batches_from_disk_have_a_static_shape_and_go_on_for_ever(on_disk: DiskSplit) -> None:
    endless = train_batches(on_disk, BatchOrder(BATCH, 1, "x"), BatchFormat(RAW3, "cutmix", num_classes=COUNT))
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert endless.element_spec == (
        tf.TensorSpec((BATCH, *SHAPE), tf.float32),
        tf.TensorSpec((BATCH, COUNT), tf.float32),
    )


def test_a_split_without_examples_or_with_too_few_labels_is_refused() -> None:
    for indices, labels in ((np.arange(0), np.arange(0)), (np.arange(3), np.arange(2))):
        with pytest.raises(BadInput, match="must have at least one image, and one label per image"):
            DiskSplit(ImageFiles([]), indices, labels, SHAPE)


@pytest.mark.parametrize("labels", [np.array([0.0, np.nan]), np.array(["a", "b"]), [0, 1], np.zeros((2, 2), np.int64)])
def test_labels_of_another_kind_are_refused(labels: object) -> None:
    with pytest.raises(BadInput, match=r"^labels=.*: must be whole numbers of shape \[2\]$"):
        DiskSplit(ImageFiles(["a", "b"]), np.arange(2), labels, SHAPE)


def test_a_label_of_no_class_is_named_with_the_path_of_its_image() -> None:
    split = DiskSplit(ImageFiles(["a", "b", "c"]), np.array([2, 0]), np.array([0, 7]), SHAPE)
    with pytest.raises(
        BadInput, match=r"its validation labels range from 0 to 7, .*: 1 of 2 do not, the first is 7 of a$"
    ):
        DataSet("own", split.subset(np.zeros(1, int)), split, split, ("x", "y", "z"))
