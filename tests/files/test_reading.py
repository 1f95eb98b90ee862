"""Reading: regular files within a size, whatever lies in their place, and JSON within bounds."""

from __future__ import annotations

import json
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dlth_tf import files
from dlth_tf.files.json_files import DEPTH, DIGITS


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


def a_socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


def folder(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**38)


def circle(path: Path) -> None:
    path.symlink_to(path)


def nothing(path: Path) -> None:
    del path


IN_ITS_PLACE: list[Callable[[Path], None]] = [pipe, device, link_to_a_pipe, a_socket, folder, sparse, circle, nothing]
READERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: files.read_file(path, 100),
    "open": lambda path: files.open_regular(path, 100),
    "size": lambda path: files.regular_size(path, 100),
    "json": files.read_json,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("put", IN_ITS_PLACE, ids=lambda put: put.__name__)
def test_what_is_no_file_of_its_kind_is_an_error_of_the_system_at_once(put, reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    put(Path("file"))
    with pytest.raises(OSError) as refused:
        READERS[reader](Path("file"))
    assert refused.value.strerror and "file" in str(refused.value.filename)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/" * 3000], ids=["long", "nul", "deep"])
def test_a_name_that_no_file_can_have_is_an_error_of_the_system(name, tmp_path):
    for read in READERS.values():
        with pytest.raises(OSError):
            read(tmp_path / name)
    assert not files.exists(tmp_path / name)


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_not(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to("file")
    assert files.read_file(tmp_path / "link", 100) == b"x" * 100 and files.regular_size(tmp_path / "file", 100) == 100
    for read in (files.read_file, files.open_regular, files.regular_size):
        with pytest.raises(OSError, match="it is larger than 99 bytes"):
            read(tmp_path / "file", 99)


def test_a_file_that_grows_is_not_read_without_end(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x" * 10)
    fdopen = os.fdopen

    def grow(handle: int, mode: str) -> object:
        with open(tmp_path / "file", "ab") as file:
            file.write(b"y" * 5)
        return fdopen(handle, mode)

    monkeypatch.setattr(os, "fdopen", grow)
    assert len(files.read_file(tmp_path / "file", 100)) == 15
    monkeypatch.undo()
    fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda handle: os.stat_result((*fstat(handle)[:6], 7, *fstat(handle)[7:])))
    with pytest.raises(OSError, match="it grows while it is read"):
        files.read_file(tmp_path / "file", 100)


@pytest.mark.parametrize(
    "text",
    [
        "[" * (DEPTH + 2) + "]" * (DEPTH + 2),
        "[" * 200_000,
        '{"a":' * (DEPTH + 2) + "1" + "}" * (DEPTH + 2),
        "1" * (DIGITS + 1),
        "1" * 100_000,
        "-" + "9" * 400,
        "1e400",
        "NaN",
        "-Infinity",
        '"\\ud800"',
        '{"\\udfff": 1}',
        '[["a", {"b": "\\ud800x"}]]',
        "",
        "\xff",
    ],
    ids=range(14),
)
def test_json_out_of_bounds_is_refused(text):
    with pytest.raises(ValueError) as refused:
        files.parse_json(text.encode("latin-1"))
    assert len(str(refused.value)) < 200


def test_json_within_the_bounds_is_what_json_says():
    value = {"a": [1, -2.5e-300, True, None, "äπ😀\x1b"], "b": {"c": 10 ** (DIGITS - 1)}, "d": [[[]]] * 9}
    assert files.parse_json(json.dumps(value)) == files.parse_json(json.dumps(value).encode()) == value
    deepest = "[" * DEPTH + "]" * DEPTH
    assert json.dumps(files.parse_json(deepest)) == deepest


@pytest.mark.parametrize("text", ["[]", "{}", '""', "1.5", '"aaaa"', '{"a":1}'], ids=str)
def test_the_memory_of_json_is_a_multiple_of_its_size(text):
    data = f"[{','.join([text] * (200_000 // len(text)))}]".encode()
    tracemalloc.start()
    files.parse_json(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * len(data)


def test_an_archive_of_very_many_arrays_is_refused_before_they_are_listed():
    with pytest.raises(ValueError, match="it lists more than 100,000 arrays"):
        files.parse_npz(b"PK\x01\x02" * 100_001)
