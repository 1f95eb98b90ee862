"""Builds ticket files as an accident or a forger would leave them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput

TICKET = Ticket(
    {"conv1/kernel": np.arange(54).reshape(3, 3, 2, 3) % 5 > 1, "fc/kernel": np.arange(7) % 2 == 0},
    {"method": "rst", "seed": 7},
)


def put(path: Path, npz: bytes, sidecar: bytes | dict, *, sign: bool = False) -> None:
    """Writes both files; with `sign` the sidecar gets the checksum of the npz, as a forger would write it."""
    if isinstance(sidecar, dict):
        sidecar = json.dumps({**sidecar, "sha256": files.sha256(npz)} if sign else sidecar).encode()
    path.write_bytes(npz)
    path.with_suffix(".json").write_bytes(sidecar)


def refusal(path: Path) -> str:
    """Returns the message with which the ticket at `path` is refused."""
    with pytest.raises(BadInput) as refused:
        Ticket.load(path)
    sentence = str(refused.value)
    assert type(refused.value) is BadInput and sentence.isprintable() and sentence.startswith(f"ticket={path}: ")
    return sentence


def npy(header: str | bytes, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    header = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + body


def npz(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Returns an archive with valid checksums around any bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def one_mask(size: int, kept: int) -> dict:
    return {
        "format": "dlth_tf ticket 1",
        "provenance": {},
        "tensors": {"a": {"shape": [size], "kept": kept, "removed": size - kept}},
    }


def foreign(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=array)
    return buffer.getvalue()
