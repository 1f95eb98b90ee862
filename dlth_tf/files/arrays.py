"""Arrays in .npz files: read without executing any code from them, with little more memory than the file has bytes."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

MOST_ARRAYS = 100_000  # in one .npz file; each takes more memory than its entry in the file's directory has bytes
MAX_HEADER_BYTES = 4096  # of one array in an .npz file; NumPy writes 128 for plain arrays


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns `arrays` as an uncompressed .npz file; equal arrays have equal bytes.

    The bytes are those of `np.savez`, which does not support arrays named "file" or "allow_pickle".
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(value, order="C"), allow_pickle=False)
    return buffer.getvalue()


def parse_npz(
    data: bytes, expected: Mapping[str, tuple[tuple[int, ...], np.dtype]] | None = None, texts: bool = False
) -> dict[str, np.ndarray]:
    """Reads an uncompressed .npz file without pickles; the memory is at most about three times `data`.

    Args:
      data: Content of the file.
      expected: Shape and dtype by name. If not None, the file must contain exactly these arrays, in C order as this
        package writes them; if None, it is the user's, and they may also be in Fortran order.
      texts: Whether arrays of texts or bytes are allowed beside numbers and booleans.

    Raises:
      ValueError: If the file is invalid or contains other arrays; the message is the rest of a sentence.
    """
    if data.count(b"PK\x01\x02") > MOST_ARRAYS:  # the mark of an entry; in data it occurs once in four billion bytes
        raise ValueError(f"it is not a readable .npz file (it lists more than {MOST_ARRAYS:,} arrays)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            stored = all(info.compress_type == zipfile.ZIP_STORED for info in infos)
            if not stored or sum(info.file_size for info in infos) > len(data):
                raise zipfile.BadZipFile("its arrays are not stored the way this package stores them")
            members = [(info.filename.removesuffix(".npy"), archive.read(info)) for info in infos]
    except (
        zipfile.BadZipFile,
        RuntimeError,
        OSError,
        EOFError,
        KeyError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as error:
        raise ValueError(f"it is not a readable .npz file ({error})") from error
    names = [name for name, _ in members]
    if expected is not None and sorted(names) != sorted(expected):
        raise ValueError(f"it contains the arrays {_short(names)}, expected {_short(expected)}")
    kinds = "biufSU" if texts else "biuf"
    arrays = {name: _parse_npy(raw, kinds, any_order=expected is None) for name, raw in members}
    for name, (shape, dtype) in (expected or {}).items():
        array = arrays[name]
        if array.shape != tuple(shape) or array.dtype != dtype:
            expectation = f"expected {np.dtype(dtype)}{list(shape)}"
            raise ValueError(f"its array {name} is {array.dtype}{list(array.shape)}, {expectation}")
    return arrays


def npz_limit(expected: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> int:
    """Returns the most bytes that an .npz file with these shapes and dtypes by name can have."""
    data = sum(_product(shape) * np.dtype(dtype).itemsize for shape, dtype in expected.values())
    return data + sum(MAX_HEADER_BYTES + 4 * len(name.encode()) for name in expected) + MAX_HEADER_BYTES


def _parse_npy(raw: bytes, kinds: str, any_order: bool) -> np.ndarray:
    file = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("unknown array format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=MAX_HEADER_BYTES)
    except Exception as error:  # NumPy parses headers as Python code: a forged header raises any error of the tokenizer
        raise ValueError("an array header is damaged") from error
    if fortran and not any_order:
        raise ValueError("an array in Fortran order is not allowed")
    if dtype.hasobject or dtype.kind not in kinds or not dtype.itemsize:
        raise ValueError(f"an array of dtype {dtype} is not allowed")
    body = raw[file.tell() :]
    if any(size < 0 for size in shape) or _product(shape) * dtype.itemsize != len(body):
        raise ValueError("an array header does not match the size of its data")
    if dtype.kind == "U":
        letters = np.frombuffer(body, f"{dtype.str[0]}u4")
        if np.any(letters > sys.maxunicode) or np.any((letters >= 0xD800) & (letters < 0xE000)):
            raise ValueError("an array of texts holds numbers that are no letters of Unicode")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= int(size)
    return total


def _short(names: Any, most: int = 6) -> str:
    names = [name if name.isprintable() else ascii(name) for name in sorted(names)]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 over names, shapes, dtypes and bytes of the arrays, sorted by name."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = np.asarray(arrays[name], order="C")  # ascontiguousarray would make a scalar a vector
        total.update(f"{name}{list(value.shape)}{value.dtype.str}\n".encode())
        total.update(value.reshape(-1).view(np.uint8).data)  # bfloat16 has no buffer of its own
    return total.hexdigest()
