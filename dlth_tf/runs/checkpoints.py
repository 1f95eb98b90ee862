"""Checkpoints on disk: written aside and renamed, each with a checksum, the last two kept."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf import files
from dlth_tf.errors import BadInput

KEPT = 2
FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: plain values, and arrays by name."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Checkpoints:
    """The folder `checkpoints/` of a run: NNNNNN.npz with arrays, NNNNNN.json with plain values and the checksum of both.

    A checkpoint exists once its .json does, which is written last. Nothing in it is pickled.

    Args:
      folder: is made when the first checkpoint is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one more checkpoint and takes away all but the last two.

        Raises:
          OSError: it cannot be written; those before are as they were.
        """
        self.folder.mkdir(exist_ok=True)
        stem = f"{1 + max(self._numbers(), default=0):06d}"
        data = files.npz_bytes(arrays)
        text = json.dumps(meta, allow_nan=False)
        header = {"format": FORMAT, "arrays_sha256": files.sha256(data), "meta_sha256": files.sha256(text.encode())}
        try:
            files.write_atomic(self.folder / f"{stem}.npz", data)
            files.write_json(self.folder / f"{stem}.json", {**header, "meta": text})
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self.folder / f"{stem}.npz")
            raise
        for number in sorted(self._numbers())[:-KEPT]:
            for ending in ("json", "npz"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.folder / f"{number:06d}.{ending}")

    def latest(self) -> Saved | None:
        """The newest checkpoint that is whole, or None if none was ever written; a damaged one is named in the log.

        Raises:
          BadInput: there are checkpoints, and none of them is whole.
        """
        numbers = sorted(self._numbers(), reverse=True)
        for number in numbers:
            try:
                return read_checkpoint(self.folder / f"{number:06d}")
            except DamagedCheckpoint as error:
                logging.getLogger("dlth_tf").warning("%s; the one before it is used", error)
        if numbers:
            raise BadInput(
                "run_dir",
                self.folder.parent,
                "holds checkpoints, but none of them is whole: start again with --resume=never in an empty directory",
            )
        return None

    def clear(self) -> None:
        """Takes all checkpoints away: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbers(self) -> set[int]:
        names = {path.stem for path in self.folder.glob("*.*")} if self.folder.is_dir() else set()
        return {int(name) for name in names if name.isdecimal() and len(name) == 6}


class DamagedCheckpoint(ValueError):
    """A checkpoint that is not what was written."""


def read_checkpoint(stem: Path) -> Saved:
    """Reads `stem`.json and `stem`.npz and checks both.

    Raises:
      DamagedCheckpoint: a file is missing, truncated, changed, or no checkpoint at all.
    """
    try:
        header = json.loads(stem.with_suffix(".json").read_bytes())
        if not isinstance(header, dict) or header.get("format") != FORMAT or not isinstance(header.get("meta"), str):
            raise ValueError("its .json is not a checkpoint's")
        data = stem.with_suffix(".npz").read_bytes()
        if files.sha256(data) != header.get("arrays_sha256") or files.sha256(header["meta"].encode()) != header.get("meta_sha256"):
            raise ValueError("its checksum does not fit")
        meta = json.loads(header["meta"])
        if not isinstance(meta, dict):
            raise ValueError("its .json is not a checkpoint's")
        return Saved(meta, files.parse_npz(data))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DamagedCheckpoint(f"checkpoint {stem} cannot be used ({reason})") from None
