"""The one writer and the one array reader: files appear whole or not at all, and nothing read here can run code."""

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

HALF_WRITTEN = ".part"  # how names end of files that are being written, or were when their process was killed
MAX_HEADER_BYTES = 4096  # of one array in an .npz; NumPy's own are 128 for plain arrays


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes `data` beside `path`, flushes it to the disk, and renames it into place."""
    path = Path(path)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=HALF_WRITTEN)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise


def is_half_written(path: Path) -> bool:
    """Whether this is a file that `write_atomic` had begun when its process was killed."""
    return re.fullmatch(rf"\..+\.[a-z0-9_]{{8}}{re.escape(HALF_WRITTEN)}", path.name) is not None


def remove_half_written(folder: Path) -> None:
    """Takes away what killed processes had begun to write in `folder`; only for whoever alone writes there."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_half_written(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON; NaN and infinity are refused, since JSON has none."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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
    """An uncompressed .npz of `arrays`: the same arrays give the same bytes at any time and place.

    They are the bytes of `np.savez`, which itself cannot take arrays named "file" or "allow_pickle".
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
    """Reads an uncompressed .npz without pickles; the arrays together take no more memory than the file.

    Args:
      data: the file's bytes.
      expected: name -> (shape, dtype). When given, exactly these arrays must be there.

    Raises:
      ValueError: with what is wrong, as the end of a sentence.
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
        raise ValueError(f"it holds the arrays {_short(names)}, expected are {_short(expected)}")
    arrays = {name: _parse_npy(raw) for name, raw in members}
    for name, (shape, dtype) in (expected or {}).items():
        if arrays[name].shape != tuple(shape) or arrays[name].dtype != dtype:
            raise ValueError(
                f"its array {name} is {arrays[name].dtype}{list(arrays[name].shape)}, expected is {np.dtype(dtype)}{list(shape)}"
            )
    return arrays


def _parse_npy(raw: bytes) -> np.ndarray:
    file = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("unknown array format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=MAX_HEADER_BYTES)
    except Exception as error:  # NumPy parses headers as Python: a forged one raises whatever the tokenizer does
        raise ValueError("an array header is damaged") from error
    if fortran or dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"an array of dtype {dtype} is not allowed")
    body = raw[file.tell() :]
    if any(size < 0 for size in shape) or _product(shape) * dtype.itemsize != len(body):
        raise ValueError("an array's header does not fit its data")
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
    """The hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes, dtypes and bytes, in name order."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = np.asarray(arrays[name], order="C")  # ascontiguousarray would make a scalar a vector
        total.update(f"{name}{list(value.shape)}{value.dtype.str}\n".encode())
        total.update(value.tobytes())
    return total.hexdigest()
