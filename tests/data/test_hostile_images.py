"""Images of somebody else: pipes, broken files, and headers that state gigabytes of pixels."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import load
from dlth_tf.data.disk_split import MOST_PIXELS, PNG, decoded
from dlth_tf.data.sets.tiny_imagenet import MOST_ARCHIVE, MOST_IMAGE, MOST_LIST
from dlth_tf.data.tfrecord_index import open_records
from dlth_tf.errors import BadInput
from dlth_tf.files import npz_bytes, parse_npz
from tests.data.pictures import jpeg, prepare
from tests.data.sets.test_folder import folder
from tests.data.sets.test_tiny_imagenet import FOLDER, official
from tests.data.test_tfrecord_index import example, shard

SHAPE = (16, 16, 3)


def png(height: int, width: int) -> bytes:
    """Returns a PNG of a few bytes whose header states a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    return PNG + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def huge_jpeg() -> bytes:
    """Returns a JPEG whose header states 65,000 x 65,000 pixels."""
    data = bytearray(jpeg(9))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", 65000, 65000)
    return bytes(data)


BROKEN = {
    "huge png": png(22_000, 22_000),
    "huger png": png(2**31 - 1, 2**31 - 1),
    "negative png": png(2**31, 2**31 + 3),
    "empty png": png(0, 5),
    "huge jpeg": huge_jpeg(),
    "cut png": tf.io.encode_png(np.zeros(SHAPE, np.uint8)).numpy()[:50],
    "cut jpeg": jpeg(9)[:30],
    "gif": b"GIF89a" + struct.pack("<HH", 60000, 60000) + b"\0" * 20,
    "text": b"not an image",
    "nothing": b"",
}


@pytest.mark.parametrize("seed", [None, tf.constant([1, 2], tf.int64)], ids=["center", "random"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_or_huge_image_is_an_error_before_it_takes_memory(kind, seed):
    with pytest.raises(tf.errors.OpError):
        decoded(tf.constant(BROKEN[kind]), SHAPE, seed, one_size=False)


def test_the_largest_picture_is_allowed(monkeypatch):
    monkeypatch.setattr("dlth_tf.data.disk_split.MOST_PIXELS", 64 * 64)
    assert decoded(tf.constant(jpeg(9)), SHAPE, None, False).shape == SHAPE
    monkeypatch.setattr("dlth_tf.data.disk_split.MOST_PIXELS", 64 * 64 - 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="it states"):
        decoded(tf.constant(jpeg(9)), SHAPE, None, False)
    assert MOST_PIXELS == 10**8


@pytest.mark.parametrize("kind", ["huge png", "cut jpeg", "text"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_broken_image_is_named(tmp_path: Path, kind: str, split: str):
    name = f"folder:{folder(tmp_path, train=40, test=6)}@16"
    path = tmp_path / split / "cat" / "000.jpg"
    path.write_bytes(BROKEN[kind])
    with pytest.raises(BadInput, match=rf"^image={path}: cannot be read \(") as refused:
        for part in (load(name).train, load(name).validation, load(name).test):
            for place in range(len(part)):
                part.image(place)
    assert "\n" not in str(refused.value) and "tf." not in str(refused.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir], ids=range(3))
def test_what_is_no_file_among_the_images_is_refused_when_they_are_listed(tmp_path, put):
    name = f"folder:{folder(tmp_path, train=40, test=6)}"
    put(tmp_path / "train" / "dog" / "x.jpg")
    with pytest.raises(BadInput, match=r"cannot be read \(.*\): .*/train/dog/x.jpg"):
        load(name)


@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_records_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="it is not a regular file"):
        open_records([tmp_path / "a"], "label", tmp_path / "index")


@pytest.mark.parametrize(
    ("name", "value"),
    [("offset", 10**9), ("length", 10**12), ("offset", -1), ("length", -1), ("shard", 3), ("shard", -1)],
)
def test_a_saved_index_that_leads_out_of_its_shards_is_built_again(tmp_path, name, value):
    path = shard(tmp_path / "a", [example(3, number) for number in range(4)])
    good = open_records([path], "label", tmp_path / "index.npz")
    arrays = parse_npz((tmp_path / "index.npz").read_bytes())
    arrays = {key: array.copy() for key, array in arrays.items()}
    arrays[name][1] = value
    (tmp_path / "index.npz").write_bytes(npz_bytes(arrays))
    again = open_records([path], "label", tmp_path / "index.npz")
    assert [again.read(index) for index in range(4)] == [good.read(index) for index in range(4)]


def change_zip(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in (entries | {f"{FOLDER}/{name}": content}).items():
            archive.writestr(entry, data)


ANNOTATIONS = "val_0.JPEG\tn09999999\t0\t0\t63\t63\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wnids.txt", b"\0" * (MOST_LIST + 1)),
        ("val/val_annotations.txt", b"\n" * (MOST_LIST + 1)),
        ("val/val_annotations.txt", ANNOTATIONS.encode()),
        ("val/val_annotations.txt", b"no tabs"),
        ("wnids.txt", b"\xff\xfe"),
        ("val/images/val_0.JPEG", b"\0" * (MOST_IMAGE + 1)),
    ],
    ids=range(6),
)
def test_a_member_that_no_official_archive_has_is_one_sentence(tmp_path, name, content):
    change_zip(official(tmp_path) / "tiny-imagenet-200.zip", name, content)
    with pytest.raises(BadInput, match=r"tiny-imagenet-200.zip there is not the official file, or damaged"):
        load("tiny_imagenet", str(tmp_path))


@pytest.mark.parametrize("damage", ["encrypted", "method", "deflate"])
def test_an_archive_that_cannot_be_unpacked_is_one_sentence(tmp_path, damage):
    path = official(tmp_path) / "tiny-imagenet-200.zip"
    change_zip(path, "wnids.txt", b"n01000000\nn02000000\nn03000000\n")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    if damage == "encrypted":
        data[entry + 8] |= 1
    elif damage == "method":
        data[entry + 10] = 99
    else:
        start = 30 + len(f"{FOLDER}/wnids.txt")
        data[start : start + 9] = b"\xff" * 9
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"tiny-imagenet-200.zip there is not the official file, or damaged"):
        load("tiny_imagenet", str(tmp_path))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "huge", "folder"])
def test_an_archive_that_is_no_file_of_its_size_is_one_sentence(tmp_path, kind):
    path = tmp_path / "tiny-imagenet-200.zip"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, MOST_ARCHIVE + 1)
    with pytest.raises(BadInput, match=r"tiny-imagenet-200.zip there cannot be read \("):
        load("tiny_imagenet", str(tmp_path))


@pytest.mark.fast_cases("huge jpeg")
@pytest.mark.parametrize("kind", ["huge png", "huge jpeg", "text"])
def test_a_prepared_set_with_an_image_of_another_size_is_one_sentence(tmp_path, kind):
    def mine(split: str, number: int) -> dict[str, object]:
        return {"image": np.full((28, 28, 1), number, np.uint8), "label": number % 10}

    data_dir = prepare("mnist", tmp_path, {"train": 40, "test": 10}, mine)
    assert load("mnist", data_dir).image_shape == (28, 28, 1)
    (path,) = tmp_path.rglob("*-test.tfrecord*")
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[BROKEN[kind]])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
    }
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(10):
            writer.write(record)
    with pytest.raises(BadInput, match="its test split cannot be read") as refused:
        load("mnist", data_dir)
    assert "\n" not in str(refused.value)
