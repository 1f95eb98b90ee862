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


def opened(paths: list[str], kept: Path, label: str = "label") -> Records:
    return open_records(paths, label, kept)


def test_every_record_is_found_with_its_label(paths: list[str], examples: list[bytes], tmp_path: Path) -> None:
    found = opened(paths, tmp_path / "kept")
    assert [found.read(index) for index in range(len(found))] == examples
    assert found.label.tolist() == LABELS and found.shard.tolist() == [0, 0, 0, 2, 2, 2, 2]


def test_places_that_were_kept_are_not_looked_for_again(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(paths, tmp_path / "kept")
    monkeypatch.setattr(tfrecord_index, "_build_index", None)
    again = opened(paths, tmp_path / "kept")
    for name in ("shard", "offset", "length", "label"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize("spoil", ["changed data", "another label", "damaged", "forged"])
def test_places_that_no_longer_hold_are_looked_for_again(
    paths: list[str], examples: list[bytes], tmp_path: Path, spoil: str
) -> None:
    kept, label = tmp_path / "kept", "label"
    opened(paths, kept)
    if spoil == "changed data":
        shard(Path(paths[0]), examples[:1])
    elif spoil == "another label":
        label = "image"
    elif spoil == "damaged":
        kept.write_bytes(kept.read_bytes()[:-30])
    else:
        kept.write_bytes(tfrecord_index.files.npz_bytes({"digest": np.zeros(32, np.uint8)}))
    if label == "image":
        with pytest.raises(ValueError, match="a label is not an integer"):
            opened(paths, kept, label)
    else:
        assert opened(paths, kept).label.tolist() == (LABELS[:1] + LABELS[3:] if spoil == "changed data" else LABELS)


def test_data_that_may_only_be_read_is_no_obstacle(paths: list[str], tmp_path: Path) -> None:
    assert len(opened(paths, tmp_path / "no such directory" / "kept")) == len(LABELS)


@pytest.mark.parametrize("cut", [1, 4, 5, 300, 1000])
def test_a_file_that_is_cut_off_is_refused(paths: list[str], tmp_path: Path, cut: int) -> None:
    data = Path(paths[2]).read_bytes()
    Path(paths[2]).write_bytes(data[:-cut])
    with pytest.raises(ValueError, match="c is truncated"):
        opened(paths, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("content", [b"\xff" * 50, b"", b"\x0a\x05hello", b"\x0a\x00"])
def test_records_that_hold_something_else_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"an example (is not in the format|has no feature)"):
        opened([shard(tmp_path / "a", [content])], tmp_path / "kept")
