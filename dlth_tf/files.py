"""Atomic writing of files, and reading of JSON and arrays without executing any code from them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import json_value

HALF_WRITTEN = ".part"  # suffix of files that are being written, or whose process was killed while it wrote them
MAX_HEADER_BYTES = 4096  # of one array in an .npz file; NumPy writes 128 for plain arrays


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes `data` to a temporary file next to `path`, flushes it to disk, and renames it to `path`."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=HALF_WRITTEN)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def is_half_written(path: Path) -> bool:
    """Returns whether the name is that of a temporary file of `write_atomic`."""
    return re.fullmatch(rf"\..+\.[a-z0-9_]{{8}}{re.escape(HALF_WRITTEN)}", path.name) is not None


def remove_half_written(folder: Path) -> None:
    """Deletes temporary files that killed processes left in `folder`; no other process may be writing there."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_half_written(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON; raises ValueError for NaN and infinity, which JSON does not support.

    NumPy's numbers are written as plain ones.
    """
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False, default=json_value) + "\n")


def read_json_object(path: Path, thing: str, root: Path | None = None) -> dict[str, Any]:
    """Reads a file that contains one JSON object.

    Args:
      path: The file to read.
      thing: Flag or argument that named the directory, for the error message.
      root: Directory that `thing` named; the parent directory of `path` by default.

    Raises:
      BadInput: If the file cannot be read or does not contain a JSON object.
    """
    root = path.parent if root is None else root
    name = path.relative_to(root)
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(thing, root, f"{name} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(thing, root, f"{name} is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise BadInput(thing, root, f"{name} must contain a JSON object, but contains a {type(value).__name__}")
    return value


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
    data: bytes, expected: Mapping[str, tuple[tuple[int, ...], np.dtype]] | None = None
) -> dict[str, np.ndarray]:
    """Reads an uncompressed .npz file without pickles; the arrays use no more memory than the file.

    Args:
      data: Content of the file.
      expected: Shape and dtype by name. If not None, the file must contain exactly these arrays.

    Raises:
      ValueError: If the file is invalid or contains other arrays; the message is the rest of a sentence.
    """
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
    arrays = {name: _parse_npy(raw) for name, raw in members}
    for name, (shape, dtype) in (expected or {}).items():
        array = arrays[name]
        if array.shape != tuple(shape) or array.dtype != dtype:
            expectation = f"expected {np.dtype(dtype)}{list(shape)}"
            raise ValueError(f"its array {name} is {array.dtype}{list(array.shape)}, {expectation}")
    return arrays


def _parse_npy(raw: bytes) -> np.ndarray:
    file = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("unknown array format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=MAX_HEADER_BYTES)
    except Exception as error:  # NumPy parses headers as Python code: a forged header raises any error of the tokenizer
        raise ValueError("an array header is damaged") from error
    if fortran or dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"an array of dtype {dtype} is not allowed")
    body = raw[file.tell() :]
    if any(size < 0 for size in shape) or _product(shape) * dtype.itemsize != len(body):
        raise ValueError("an array header does not match the size of its data")
    return np.frombuffer(body, dtype).reshape(shape)


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
        total.update(value.tobytes())
    return total.hexdigest()
