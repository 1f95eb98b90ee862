"""Checkpoints on disk: written aside and renamed, each with a checksum, the last two good ones kept."""

from __future__ import annotations

import contextlib
import functools
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
from dlth_tf.runs.config import RunConfig

KEPT = 2
FORMAT = 2


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: plain values, arrays by name, and the configuration of the run that wrote it."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]
    config: dict[str, Any]


class DamagedCheckpoint(ValueError):
    """A checkpoint that is not what was written, or not of this run."""


class CheckpointFiles:
    """The folder `checkpoints/` of a run: NNNNNN.npz with arrays, NNNNNN.json with plain values and the checksum of both.

    A checkpoint exists once its .json does, which is written last. Nothing in it is pickled. Each holds the run's configuration,
    which lies in config.json beside the folder, so that one of another run is not taken for one of this.

    Args:
      folder: is made when the first checkpoint is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._good: list[int] = []  # read or written by this process, so known to be whole

    def save(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one more checkpoint and takes away all but the last two good ones.

        Raises:
          OSError: it cannot be written; those before are as they were.
        """
        self.folder.mkdir(exist_ok=True)
        number = 1 + max(self._numbers("*"), default=0)
        data = files.npz_bytes(arrays)
        text = json.dumps({"config": self._config.to_json(), "meta": meta}, allow_nan=False)
        try:
            files.write_atomic(self._path(number, "npz"), data)
            header = {
                "format": FORMAT,
                "arrays_sha256": files.sha256(data),
                "text_sha256": files.sha256(text.encode()),
                "text": text,
            }
            files.write_json(self._path(number, "json"), header)
        except BaseException:
            self._remove(number)
            raise
        _to_disk(self.folder)
        self._good = [*self._good, number][-KEPT:]
        for other in self._numbers("*") - set(self._good):
            self._remove(other)

    def latest(self) -> Saved | None:
        """The newest checkpoint that is whole and of this run, or None if none was ever written; others are named in the log.

        Raises:
          BadInput: there are checkpoints, and none of them can be used.
        """
        problems = []
        for number in sorted(self._numbers("json"), reverse=True):
            try:
                saved = self._read(number)
            except DamagedCheckpoint as error:
                problems.append(str(error))
                continue
            for problem in problems:
                logging.getLogger("dlth_tf").warning("%s; the one before it is used", problem)
            self._good = [number]
            return saved
        if problems:
            allowed = f"none of its checkpoints can be used ({problems[0]}): start again in an empty directory"
            raise BadInput("run_dir", self.folder.parent, allowed)
        return None

    def clear(self) -> None:
        """Takes all checkpoints away: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, number: int) -> Saved:
        saved = read_checkpoint(self.folder / f"{number:06d}")
        differences = self._config.differences(saved.config)
        if differences:
            raise DamagedCheckpoint(
                f"checkpoint {number:06d} cannot be used (it is of another configuration: {'; '.join(differences)})"
            )
        return saved

    @functools.cached_property
    def _config(self) -> RunConfig:
        return RunConfig(**json.loads((self.folder.parent / "config.json").read_bytes())["config"])

    def _numbers(self, ending: str) -> set[int]:
        names = {path.stem for path in self.folder.glob(f"*.{ending}")} if self.folder.is_dir() else set()
        return {int(name) for name in names if name.isdecimal() and len(name) == 6}

    def _path(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:06d}.{ending}"

    def _remove(self, number: int) -> None:
        for ending in ("json", "npz"):  # in this order: without its .json it is none
            with contextlib.suppress(OSError):
                os.unlink(self._path(number, ending))


def _to_disk(folder: Path) -> None:
    """Names of new files reach the disk before old files are taken away, in case the power goes."""
    with contextlib.suppress(OSError):  # some network file systems do not know how; then the order is theirs
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_checkpoint(stem: Path) -> Saved:
    """Reads `stem`.json and `stem`.npz and checks both.

    Raises:
      DamagedCheckpoint: a file is missing, truncated, changed, or no checkpoint at all.
    """
    try:
        header = json.loads(stem.with_suffix(".json").read_bytes())
        text = header.get("text") if isinstance(header, dict) and header.get("format") == FORMAT else None
        if not isinstance(text, str):
            raise ValueError("its .json is not a checkpoint's")
        data = stem.with_suffix(".npz").read_bytes()
        if files.sha256(data) != header.get("arrays_sha256") or files.sha256(text.encode()) != header.get(
            "text_sha256"
        ):
            raise ValueError("its checksum does not fit")
        found = json.loads(text)
        if not isinstance(found, dict) or not all(isinstance(found.get(name), dict) for name in ("config", "meta")):
            raise ValueError("its .json is not a checkpoint's")
        return Saved(found["meta"], files.parse_npz(data), found["config"])
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DamagedCheckpoint(f"checkpoint {stem.name} cannot be used ({reason})") from None
