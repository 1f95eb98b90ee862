"""Checksums of arrays and files."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.files import arrays_sha256, sha256, sha256_of

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


def test_the_checksum_of_a_file_is_that_of_its_bytes_and_a_larger_file_is_refused(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file", len(data)) == (len(data), sha256(data))
    with pytest.raises(OSError, match="larger than"):
        sha256_of(tmp_path / "file", len(data) - 1)
