"""The index of TFRecord files: places, labels, its saved file, and damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import tfrecord_index
from dlth_tf.data.tfrecord_index import Records, open_records

LABELS = [0, 3, 127, 128, 999, 2**40, -1]


def example(label: int, size: int) -> bytes:
    feature = {
        "file_name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"label"])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes([label % 256]) * size])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def shard(path: Path, examples: list[bytes]) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in examples:
            writer.write(one)
    return str(path)


@pytest.fixture
def examples() -> list[bytes]:
    return [example(label, size) for label, size in zip(LABELS, (0, 1, 100, 127, 128, 70_000, 5), strict=True)]


@pytest.fixture
def paths(tmp_path: Path, examples: list[bytes]) -> list[str]:
    return [shard(tmp_path / "a", examples[:3]), shard(tmp_path / "b", []), shard(tmp_path / "c", examples[3:])]


def opened(paths: list[str], saved: Path, label: str = "label") -> Records:
    return open_records(paths, label, saved)


def test_every_record_is_indexed_with_its_label(paths: list[str], examples: list[bytes], tmp_path: Path) -> None:
    records = opened(paths, tmp_path / "index")
    assert [records.read(index) for index in range(len(records))] == examples
    assert records.label.tolist() == LABELS and records.shard.tolist() == [0, 0, 0, 2, 2, 2, 2]


def test_a_saved_index_is_not_built_again(paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(paths, tmp_path / "index")
    monkeypatch.setattr(tfrecord_index, "_build_index", None)
    again = opened(paths, tmp_path / "index")
    for name in ("shard", "offset", "length", "label"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize("spoil", ["changed data", "another label", "damaged", "forged"])
def test_an_index_that_is_no_longer_valid_is_built_again(
    paths: list[str], examples: list[bytes], tmp_path: Path, spoil: str
) -> None:
    saved = tmp_path / "index"
    label = "label"
    opened(paths, saved)
    if spoil == "changed data":
        shard(Path(paths[0]), examples[:1])
    elif spoil == "another label":
        label = "image"
    elif spoil == "damaged":
        saved.write_bytes(saved.read_bytes()[:-30])
    else:
        saved.write_bytes(tfrecord_index.files.npz_bytes({"digest": np.zeros(32, np.uint8)}))
    if label == "image":
        with pytest.raises(ValueError, match="a label is not an integer"):
            opened(paths, saved, label)
    else:
        assert opened(paths, saved).label.tolist() == (LABELS[:1] + LABELS[3:] if spoil == "changed data" else LABELS)


def test_read_only_data_is_no_obstacle(paths: list[str], tmp_path: Path) -> None:
    assert len(opened(paths, tmp_path / "no such directory" / "index")) == len(LABELS)


@pytest.mark.parametrize("cut", [1, 4, 5, 300, 1000])
def test_a_truncated_file_is_refused(paths: list[str], tmp_path: Path, cut: int) -> None:
    data = Path(paths[2]).read_bytes()
    Path(paths[2]).write_bytes(data[:-cut])
    with pytest.raises(ValueError, match="c is truncated"):
        opened(paths, tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("content", [b"\xff" * 50, b"", b"\x0a\x05hello", b"\x0a\x00"])
def test_records_of_another_format_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"an example (is not in the format|has no feature)"):
        opened([shard(tmp_path / "a", [content])], tmp_path / "index")
