"""Files appear whole or not at all, say the same for the same content, and cannot do anything when they are read."""

from __future__ import annotations

import io
import json
import os
import struct
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlth_tf.errors import BadInput
from dlth_tf.files import arrays_sha256, npz_bytes, parse_npz, read_json_object, sha256, write_atomic, write_json

DTYPES = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


# Writing


def write_in_place(path: Path, data: bytes) -> None:
    """What everybody writes first, with the moment made visible at which half of it is there."""
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
        file.write(data[len(data) // 2 :])


def seen_while_writing(write: Callable[[Path, bytes], None], path: Path, monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """What a reader finds under the name while new data goes to the disk."""
    path.write_bytes(b"old " * 1000)
    seen, fsync = set(), os.fsync

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
    path, versions, seen, done = tmp_path / "file", [bytes([i]) * 300_000 for i in range(2)], set(), threading.Event()
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


@pytest.mark.parametrize("broken", ["fsync", "replace", "chmod", "fdopen"])
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


# Arrays


@settings(max_examples=100, deadline=None)
@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_arrays_come_back_as_they_were(arrays):
    data = npz_bytes(arrays)
    expected = {name: (value.shape, value.dtype) for name, value in arrays.items()}
    for back in (parse_npz(data), parse_npz(data, expected)):
        assert list(back) == list(arrays)
        for name, value in arrays.items():
            assert (back[name].shape, back[name].dtype, back[name].tobytes()) == (
                value.shape,
                value.dtype,
                value.tobytes(),
            )


def test_the_bytes_are_those_of_numpy_itself():
    arrays = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array(1), "d": np.ones(0, bool)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    assert npz_bytes(arrays) == buffer.getvalue()


def test_neither_time_nor_memory_order_changes_the_bytes(monkeypatch):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(8)[::2]}
    data = npz_bytes(arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert npz_bytes({"a": np.asfortranarray(arrays["a"]), "b": arrays["b"].copy()}) == data
    assert (
        sha256(npz_bytes({"a": np.arange(6.0).reshape(2, 3)}))
        == "8bfddf314d5dafd3ef25448c603ccf038eb3cc0ca34238b64d3cae99b7c4e303"
    )


@pytest.mark.parametrize("name", ["file", "allow_pickle", "args", "arr_0", "a.npy"])
def test_no_name_is_special(name):
    assert parse_npz(npz_bytes({name: np.arange(3)}))[name].tolist() == [0, 1, 2]


def test_objects_are_not_written():
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npz_bytes({"a": np.array([None])})


GOOD = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ({}, "it holds the arrays a, expected are $"),
        ({"b": ((2, 3), "float32")}, "it holds the arrays a, expected are b$"),
        ({"a": ((2, 3), "float32"), "b": ((), "bool")}, "it holds the arrays a, expected are a, b$"),
        (
            {f"layer{i}": ((), "bool") for i in range(9)},
            "expected are layer0, layer1, layer2, layer3, layer4, layer5 and 3 more$",
        ),
        ({"a": ((3, 2), "float32")}, r"its array a is float32\[2, 3\], expected is float32\[3, 2\]$"),
        ({"a": ((6,), "float32")}, r"its array a is float32\[2, 3\], expected is float32\[6\]$"),
        ({"a": ((2, 3), "float64")}, r"its array a is float32\[2, 3\], expected is float64\[2, 3\]$"),
    ],
    ids=str,
)
def test_other_arrays_than_expected_are_refused(expected, reason):
    assert parse_npz(npz_bytes(GOOD), {"a": ((2, 3), np.dtype("float32"))})["a"].tolist() == GOOD["a"].tolist()
    with pytest.raises(ValueError, match=reason):
        parse_npz(npz_bytes(GOOD), {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in expected.items()})


def changed(data: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """`data` with `value` at `offset` behind the last `mark`."""
    start = data.rindex(mark) + offset
    return data[:start] + value + data[start + len(value) :]


def compressed() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **GOOD)
    return buffer.getvalue()


def repeated(times: int) -> bytes:
    """An archive whose directory lists the same bytes many times."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", parse_me())
        archive.filelist.extend(archive.filelist * (times - 1))
    return buffer.getvalue()


def parse_me() -> bytes:
    with zipfile.ZipFile(io.BytesIO(npz_bytes(GOOD))) as archive:
        return archive.read("a.npy")


DIRECTORY = b"PK\x01\x02"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not a readable .npz file"),
        (b"PK", "it is not a readable .npz file"),
        (npz_bytes(GOOD)[:-30], "it is not a readable .npz file"),
        (npz_bytes(GOOD)[30:], "it is not a readable .npz file"),
        (npz_bytes(GOOD).replace(b"\x40\x40", b"\x40\x41"), "Bad CRC-32"),
        (changed(npz_bytes(GOOD), DIRECTORY, 8, b"\x01"), "encrypted"),
        (changed(npz_bytes(GOOD), DIRECTORY, 6, b"\xff"), "it is not a readable .npz file"),
        (
            changed(npz_bytes(GOOD), DIRECTORY, 42, struct.pack("<L", len(npz_bytes(GOOD)) - 9)),
            "it is not a readable .npz file",
        ),
        (changed(npz_bytes(GOOD), DIRECTORY, 42, struct.pack("<L", 2**31)), "it is not a readable .npz file"),
        (changed(npz_bytes(GOOD), DIRECTORY, 24, struct.pack("<L", 2**31)), "not stored the way"),
        (changed(npz_bytes(GOOD), DIRECTORY, 10, b"\x63"), "not stored the way"),
        (compressed(), "not stored the way"),
        (repeated(20), "not stored the way"),
    ],
    ids=[
        "empty",
        "short",
        "cut",
        "headless",
        "changed",
        "encrypted",
        "version",
        "offset",
        "far offset",
        "size",
        "method",
        "deflated",
        "repeated",
    ],
)
def test_a_damaged_archive_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        parse_npz(data)
    assert type(refused.value) is ValueError and str(refused.value).isprintable()


def test_the_archive_that_was_damaged_was_good():
    assert parse_npz(repeated(1))["a"].tolist() == GOOD["a"].tolist()
    assert b"\x40\x40" in npz_bytes(GOOD) and npz_bytes(GOOD).count(DIRECTORY) == 1


# Checksums

BASE = {"a": np.array([[1, 0], [0, 1]], np.uint8), "b": np.array([1.5, 2])}


@pytest.mark.parametrize(
    "other",
    [
        {"a": BASE["a"]},
        {},
        {"a": BASE["a"], "c": BASE["b"]},
        {"a": BASE["b"], "b": BASE["a"]},
        {**BASE, "a": BASE["a"].reshape(4)},
        {**BASE, "a": BASE["a"].reshape(1, 4)},
        {**BASE, "a": BASE["a"].astype(bool)},
        {**BASE, "a": BASE["a"].astype(np.int8)},
        {**BASE, "a": 1 - BASE["a"]},
        {**BASE, "b": BASE["b"].astype(">f8")},
        {**BASE, "b": np.nextafter(BASE["b"], 9)},
        {**BASE, "b": BASE["b"][::-1]},
    ],
    ids=[
        "fewer",
        "none",
        "name",
        "swapped",
        "flat",
        "row",
        "bool",
        "signed",
        "value",
        "byte order",
        "last bit",
        "reversed",
    ],
)
def test_one_difference_changes_the_checksum(other):
    assert arrays_sha256(BASE) != arrays_sha256(other)


def test_a_scalar_a_vector_and_a_matrix_of_one_number_differ():
    one = np.array(1.0)
    assert len({arrays_sha256({"a": one.reshape(shape)}) for shape in ((), (1,), (1, 1))}) == 3


def test_neither_order_nor_layout_changes_the_checksum():
    twin = {"b": np.array([1.5, 0, 2, 0])[::2], "a": np.asfortranarray(BASE["a"])}
    assert (
        arrays_sha256(twin) == arrays_sha256(BASE) == "d41baf5190ae08efd748d0ec0270e31163b72dcfc31c2193759cb0400ee52ecf"
    )


def test_the_checksum_of_a_file_is_its_sha_256():
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
