"""Atomic writing, and JSON files."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.errors import BadInput
from dlth_tf.files import read_json_object, write_atomic, write_json


def write_in_place(path: Path, data: bytes) -> None:
    """Writes in place, with a flush in the middle, at which a reader sees half of the file."""
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
        file.write(data[len(data) // 2 :])


def seen_while_writing(write: Callable[[Path, bytes], None], path: Path, monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Returns the contents that a reader sees while new data is written to disk."""
    path.write_bytes(b"old " * 1000)
    seen = set()
    fsync = os.fsync

    def look(handle: int) -> None:
        seen.add(path.read_bytes())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", look)
    write(path, b"new " * 1000)
    return seen


def test_a_reader_sees_the_old_file_until_the_new_one_is_on_the_disk(tmp_path, monkeypatch):
    assert seen_while_writing(write_atomic, tmp_path / "file", monkeypatch) == {b"old " * 1000}
    assert (tmp_path / "file").read_bytes() == b"new " * 1000


def test_half_a_file_would_be_seen(tmp_path, monkeypatch):
    assert seen_while_writing(write_in_place, tmp_path / "file", monkeypatch) == {b"new " * 500}


def test_a_busy_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "file"
    versions = [bytes([i]) * 300_000 for i in range(2)]
    seen: set[bytes] = set()
    done = threading.Event()
    write_atomic(path, versions[0])

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(40):
        write_atomic(path, versions[turn % 2])
    done.set()
    reader.join()
    assert seen <= set(versions) and seen


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["fsync", "replace", "fdopen"])
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, broken):
    write_atomic(tmp_path / "file", "old")
    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interruption_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, interruption):
    def interrupt(*_: object) -> None:
        raise interruption

    write_atomic(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(interruption):
        write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("data", ["\ud800", None, 3], ids=ascii)
def test_what_cannot_be_written_leaves_no_litter(tmp_path, data):
    with pytest.raises((TypeError, UnicodeEncodeError)):
        write_atomic(tmp_path / "file", data)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "file", "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_of_the_system(tmp_path):
    write_atomic(tmp_path / "file", "old")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write_atomic(tmp_path / "file", "new")
    tmp_path.chmod(0o700)
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "folder", "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("data", "raw"), [("äπ\n", "äπ\n".encode()), (b"\0\r\n\xff", b"\0\r\n\xff"), ("", b""), (b"", b"")]
)
def test_text_is_utf_8_and_bytes_are_bytes(tmp_path, data, raw):
    write_atomic(str(tmp_path / "file"), data)
    assert (tmp_path / "file").read_bytes() == raw


def test_others_may_read_the_file(tmp_path):
    write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_json_is_indented_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "file", {"a": [1, None], "b": "ä"})
    text = (tmp_path / "file").read_text()
    assert json.loads(text) == {"a": [1, None], "b": "ä"} and text.startswith('{\n  "a"') and text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": -float("inf")}, {1, 2}], ids=str)
def test_what_json_cannot_say_is_not_written(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "file", value)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_written_as_plain_ones(tmp_path):
    write_json(tmp_path / "file", {"seed": np.int64(3), "sparsity": np.float32(0.9), "images": np.array(7)})
    assert read_json_object(tmp_path / "file", "file") == {"seed": 3, "sparsity": 0.9, "images": 7}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", r"a/b\.json is not valid JSON \(.*\)"),
        (b"\xff", r"a/b\.json is not valid JSON \(.*\)"),
        (b"[" * 100_000, r"a/b\.json is not valid JSON \(.*\)"),
        (b"[1]", r"a/b\.json must contain a JSON object, but contains a list"),
        (None, r"a/b\.json cannot be read \(No such file or directory\)"),
    ],
    ids=["cut", "not text", "too deep", "list", "missing"],
)
def test_json_that_is_not_an_object_is_refused_in_the_name_of_its_flag(tmp_path, content, reason):
    (tmp_path / "a").mkdir()
    if content is not None:
        (tmp_path / "a" / "b.json").write_bytes(content)
    with pytest.raises(BadInput, match=rf"^sweep_dir={tmp_path}: {reason}$"):
        read_json_object(tmp_path / "a" / "b.json", "sweep_dir", tmp_path)
    with pytest.raises(BadInput, match=rf"^run_dir={tmp_path}/a: {reason.removeprefix('a/')}$"):
        read_json_object(tmp_path / "a" / "b.json", "run_dir")


def test_a_json_object_comes_back_as_it_was_written(tmp_path):
    write_json(tmp_path / "file", {"a": [1, None], "b": "ä"})
    assert read_json_object(tmp_path / "file", "run_dir") == {"a": [1, None], "b": "ä"}
