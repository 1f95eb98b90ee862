"""Arrays in .npz files: they are read back unchanged, equal arrays have equal bytes, and forged files are refused."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlth_tf.files import npz_bytes, parse_npz, sha256

DTYPES = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


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


def test_texts_are_read_where_they_are_allowed():
    arrays = {"words": np.array([["a", "\u00e4\U0001f600"]]), "raw": np.array([b"ab", b"c"]), "n": np.arange(2)}
    data = npz_bytes(arrays)
    found = parse_npz(data, texts=True)
    assert {name: array.tolist() for name, array in found.items()} == {k: v.tolist() for k, v in arrays.items()}
    with pytest.raises(ValueError, match="an array of dtype <U2 is not allowed"):
        parse_npz(data)


@pytest.mark.parametrize("letter", [0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF])
@pytest.mark.parametrize("order", "<>")
def test_texts_of_numbers_that_are_no_letters_are_refused(letter, order):
    data = npz_bytes({"words": np.array([letter], f"{order}u4")}).replace(f"{order}u4".encode(), f"{order}U1".encode())
    with pytest.raises(ValueError, match=r"no letters of Unicode|not a readable \.npz file"):
        parse_npz(data, texts=True)


GOOD = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ({}, "it contains the arrays a, expected $"),
        ({"b": ((2, 3), "float32")}, "it contains the arrays a, expected b$"),
        ({"a": ((2, 3), "float32"), "b": ((), "bool")}, "it contains the arrays a, expected a, b$"),
        (
            {f"layer{i}": ((), "bool") for i in range(9)},
            "expected layer0, layer1, layer2, layer3, layer4, layer5 and 3 more$",
        ),
        ({"a": ((3, 2), "float32")}, r"its array a is float32\[2, 3\], expected float32\[3, 2\]$"),
        ({"a": ((6,), "float32")}, r"its array a is float32\[2, 3\], expected float32\[6\]$"),
        ({"a": ((2, 3), "float64")}, r"its array a is float32\[2, 3\], expected float64\[2, 3\]$"),
    ],
    ids=str,
)
def test_other_arrays_than_expected_are_refused(expected, reason):
    assert parse_npz(npz_bytes(GOOD), {"a": ((2, 3), np.dtype("float32"))})["a"].tolist() == GOOD["a"].tolist()
    with pytest.raises(ValueError, match=reason):
        parse_npz(npz_bytes(GOOD), {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in expected.items()})


def changed(data: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """Returns `data` with `value` at `offset` after the start of the last `mark`."""
    start = data.rindex(mark) + offset
    return data[:start] + value + data[start + len(value) :]


def compressed() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **GOOD)
    return buffer.getvalue()


def repeated(times: int) -> bytes:
    """Returns an archive whose directory lists the same bytes many times."""
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
