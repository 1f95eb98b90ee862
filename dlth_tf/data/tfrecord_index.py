"""An index of TFRecord files that tensorflow_datasets has prepared: the place and the label of every example.

A TFRecord file is a chain: 8 bytes with the length of a record, 4 with a checksum of these, the record, 4 with its
checksum. An example inside is a protocol buffer whose fields contain their own lengths. So the places and labels are
found by stepping over the images, which are not read. The index is saved in a file next to the data if that directory
is writable.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf import files

MOST_INDEX = 2**30  # bytes of a saved index, of 40 million examples
MOST_SHARD = 2**50
HEADER = 12  # bytes before a record
FOOTER = 4  # bytes after a record
_FIELDS = {"shard": np.int32, "offset": np.int64, "length": np.int64, "label": np.int64}


@dataclass(frozen=True, eq=False)
class Records:
    """Places and labels of the examples of a split.

    Attributes:
      paths: Paths of the shards.
      shard: Number of the shard that contains each example, int32 [N].
      offset: First byte of its record in that shard, int64 [N].
      length: Bytes of its record, int64 [N].
      label: Class of each example, int64 [N].
    """

    paths: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def read(self, index: int) -> bytes:
        """Reads a serialized example."""
        with open(self.paths[self.shard[index]], "rb", buffering=0) as file:
            return os.pread(file.fileno(), int(self.length[index]), int(self.offset[index]))

    def name(self, index: int) -> str:
        """Returns the number of a record in its shard, from 0, and the path of the shard."""
        number = index - int(np.searchsorted(self.shard, self.shard[index]))  # records are in the order of the shards
        return f"record {number} of {self.paths[self.shard[index]]}"


def open_records(paths: Sequence[str | os.PathLike[str]], label: str, saved: Path) -> Records:
    """Returns the index of some shards, in their order.

    Args:
      paths: TFRecord files on a local disk.
      label: Name of the integer feature that contains the class.
      saved: File of the saved index; it is rebuilt when the names, sizes or times of the shards have changed.

    Raises:
      ValueError: If a file is truncated or contains other examples; the message names it.
      OSError: If a file cannot be read.
    """
    names = tuple(os.fspath(path) for path in paths)
    for name in names:
        files.regular_size(name, MOST_SHARD)
    stats = [os.stat(name) for name in names]
    key = "\n".join(
        f"{Path(name).name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in zip(names, stats, strict=True)
    )
    digest = np.frombuffer(bytes.fromhex(files.sha256(f"{label}\n{key}".encode())), np.uint8)
    index = _read_index(saved, digest, [stat.st_size for stat in stats])
    if index is None:
        index = _build_index(names, label)
        _save_index(saved, {**index, "digest": digest})
    return Records(names, **index)


def _build_index(names: Sequence[str], label: str) -> dict[str, np.ndarray]:
    shards = [np.array(list(_scan(name, label)), np.int64).reshape(-1, 3) for name in names]
    offset, length, labels = np.concatenate(shards).T
    shard = np.repeat(np.arange(len(names)), [len(rows) for rows in shards])
    return {"shard": shard.astype(np.int32), "offset": offset.copy(), "length": length.copy(), "label": labels.copy()}


def _read_index(path: Path, digest: np.ndarray, sizes: Sequence[int]) -> dict[str, np.ndarray] | None:
    """Returns the saved index, or None if there is no valid one of the same shards, whose sizes are given in bytes."""
    try:
        arrays: dict[str, Any] = files.parse_npz(files.read_file(path, MOST_INDEX))
    except (OSError, ValueError):
        return None
    if not np.array_equal(arrays.pop("digest", None), digest):
        return None
    return arrays if _is_index(arrays, np.array(sizes, np.int64)) else None


def _is_index(arrays: dict[str, np.ndarray], sizes: np.ndarray) -> bool:
    """Returns whether the arrays are an index whose records all lie inside of their shards."""
    if {name: value.dtype for name, value in arrays.items()} != _FIELDS:
        return False
    if len({value.shape for value in arrays.values()}) > 1 or arrays["shard"].ndim != 1:
        return False
    shard, offset, length = arrays["shard"], arrays["offset"], arrays["length"]
    if ((shard < 0) | (shard >= len(sizes)) | (offset < 0) | (length < 0)).any():
        return False
    return bool((length <= sizes[shard] - offset).all())


def _save_index(path: Path, arrays: dict[str, np.ndarray]) -> None:
    try:
        files.write_atomic(path, files.npz_bytes(arrays))
    except OSError:
        return  # read-only data is scanned at every start


def _scan(path: str, label: str) -> Iterator[tuple[int, int, int]]:
    """Yields (offset, length, label) of every record of a file."""
    size = os.path.getsize(path)
    if not size:
        return
    with files.open_regular(path, MOST_SHARD) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if hasattr(mmap, "MADV_RANDOM"):
            data.madvise(mmap.MADV_RANDOM)  # no reading ahead into the images
        place = number = 0
        while place < size:
            length = struct.unpack_from("<Q", data, place)[0] if place + HEADER <= size else size
            start = place + HEADER
            place = start + length + FOOTER
            if place > size:
                raise ValueError(f"{path} is truncated: it has {size} bytes, and record {number} ends at byte {place}")
            try:
                yield start, length, _label(data, start, start + length, label.encode())
            except ValueError as error:
                raise ValueError(f"record {number} of {path}: {error}") from None
            number += 1


def _label(data: mmap.mmap, start: int, end: int, name: bytes) -> int:
    """Returns the integer feature `name` of the tf.train.Example at data[start:end].

    Example{features: Features{feature: map<string key = 1, Feature value = 2>}}, Feature{int64_list = 3: {value = 1}}.
    """
    for _, features_start, features_end in _fields(data, start, end):
        for _, entry_start, entry_end in _fields(data, features_start, features_end):
            entry = {field: (low, high) for field, low, high in _fields(data, entry_start, entry_end)}
            key_start, key_end = entry.get(1, (0, 0))
            if key_end - key_start == len(name) and data[key_start:key_end] == name:
                return _integer(data, *entry.get(2, (0, 0)))
    raise ValueError(f"an example has no feature {name.decode()}")


def _integer(data: mmap.mmap, start: int, end: int) -> int:
    for field, list_start, list_end in _fields(data, start, end):
        if field == 3 and list_end > list_start:
            packed = data[list_start] == 0x0A  # field 1 as bytes: packed, as every current writer does
            skipped = _varint(data, list_start + 1)[1] if packed else list_start + 1
            value = _varint(data, skipped)[0]
            return value - (1 << 64) if value >> 63 else value
    raise ValueError("a label is not an integer")


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields (number, first byte, end) of each length-delimited field of a message."""
    while start < end:
        tag, start = _varint(data, start)
        length, start = _varint(data, start)
        if tag & 7 != 2 or start + length > end:
            raise ValueError("an example is not in the format of tensorflow_datasets")
        yield tag >> 3, start, start + length
        start += length


def _varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    """Returns the variable-length integer at data[place], and the place after it."""
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if byte < 0x80:
            return value, place
    raise ValueError("an example is not in the format of tensorflow_datasets")
