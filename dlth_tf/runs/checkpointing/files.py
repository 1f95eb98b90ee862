"""Checkpoint files: written atomically, each with a checksum; the last two valid ones are kept."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig

KEPT = 2
FORMAT = 2
MOST_HEADER = 4 * files.MOST_JSON  # the .json of a checkpoint contains the history of the run


@dataclass(frozen=True)
class Saved:
    """The content of a checkpoint.

    Attributes:
      meta: Plain values.
      arrays: Arrays by name.
      config: The configuration of the run that wrote the checkpoint, as `RunConfig.to_json` returns it.
    """

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]
    config: dict[str, Any]


class DamagedCheckpoint(ValueError):
    """A checkpoint that is damaged or belongs to another run."""


class CheckpointFiles:
    """The folder `checkpoints/` of a run: NNNNNN.npz with arrays, NNNNNN.json with plain values and both checksums.

    A checkpoint exists once its .json does, which is written last. Nothing in it is pickled. Each checkpoint contains
    the configuration of its run, which is compared with config.json next to the folder, so that a checkpoint of another
    run is never used.

    Args:
      folder: The folder, created when the first checkpoint is written.
      most: Most bytes of the arrays of a checkpoint; a larger one is not read.
    """

    def __init__(self, folder: Path, most: int = files.MOST_ARRAYS) -> None:
        self.folder = folder
        self.most = most
        self._valid: list[int] = []  # read or written by this process, so known to be intact

    def save(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a checkpoint, then deletes all but the last two valid ones.

        Raises:
          OSError: If it cannot be written; earlier checkpoints are unchanged.
        """
        files.own_folder(self.folder, "run_dir", self.folder.parent).mkdir(exist_ok=True)
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
        _flush_to_disk(self.folder)
        self._valid = [*self._valid, number][-KEPT:]
        for other in self._numbers("*") - set(self._valid):
            self._remove(other)

    def latest(self, restore: Callable[[Saved], None] | None = None) -> Saved | None:
        """Returns the newest valid checkpoint of this run, or None if none was ever written; logs skipped ones.

        Args:
          restore: Restores the run from a checkpoint, and raises an error if its content is not that of this run.

        Raises:
          BadInput: If there are checkpoints and none of them can be used.
        """
        problems = []
        for number in sorted(self._numbers("json"), reverse=True):
            try:
                saved = self._read(number)
                if restore is not None:
                    _restore(number, saved, restore)
            except DamagedCheckpoint as error:
                problems.append(str(error))
                continue
            for problem in problems:
                logging.getLogger("dlth_tf").warning("%s; using the previous one", problem)
            self._valid = [number]
            return saved
        if problems:
            allowed = f"none of its checkpoints can be used ({problems[0]}): start again in an empty directory"
            raise BadInput("run_dir", self.folder.parent, allowed)
        return None

    def clear(self) -> None:
        """Deletes all checkpoints once the run is complete, and the folder unless it contains something else."""
        files.remove_half_written(self.folder)
        files.remove_own(self.folder, r"\d{6}\.(npz|json)")

    def _read(self, number: int) -> Saved:
        saved = read_checkpoint(self.folder / f"{number:06d}", self.most)
        differences = self._config.differences(saved.config)
        if differences:
            reason = f"it belongs to another configuration: {'; '.join(differences)}"
            raise DamagedCheckpoint(f"checkpoint {number:06d} cannot be used ({reason})")
        return saved

    @functools.cached_property
    def _config(self) -> RunConfig:
        return RunConfig(**files.read_json_object(self.folder.parent / "config.json", "run_dir")["config"])

    def _numbers(self, ending: str) -> set[int]:
        names = {path.stem for path in self.folder.glob(f"*.{ending}")} if self.folder.is_dir() else set()
        return {int(name) for name in names if name.isdecimal() and len(name) == 6}

    def _path(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:06d}.{ending}"

    def _remove(self, number: int) -> None:
        for ending in ("json", "npz"):  # in this order: without its .json it is no longer a checkpoint
            with contextlib.suppress(OSError):
                os.unlink(self._path(number, ending))


def _restore(number: int, saved: Saved, restore: Callable[[Saved], None]) -> None:
    try:
        restore(saved)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        reason = error.allowed if isinstance(error, BadInput) else error
        raise DamagedCheckpoint(f"checkpoint {number:06d} cannot be used ({reason})") from None


def _flush_to_disk(folder: Path) -> None:
    """Flushes the names of new files to the disk before old files are deleted, in case of a power failure."""
    with contextlib.suppress(OSError):  # some network file systems do not support it; the order is then up to them
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_checkpoint(stem: Path, most: int = files.MOST_ARRAYS) -> Saved:
    """Reads `stem`.json and `stem`.npz, of at most `most` bytes, and verifies both.

    Raises:
      DamagedCheckpoint: If a file is missing, truncated, modified, or not part of a checkpoint.
    """
    try:
        header = files.read_json(stem.with_suffix(".json"), MOST_HEADER)
        text = header.get("text") if isinstance(header, dict) and header.get("format") == FORMAT else None
        if not isinstance(text, str):
            raise ValueError("its .json is not that of a checkpoint")
        data = files.read_file(stem.with_suffix(".npz"), most)
        digests = {"arrays_sha256": files.sha256(data), "text_sha256": files.sha256(text.encode())}
        if any(header.get(name) != digest for name, digest in digests.items()):
            raise ValueError("checksum mismatch")
        content = files.parse_json(text)
        if not isinstance(content, dict) or not all(isinstance(content.get(name), dict) for name in ("config", "meta")):
            raise ValueError("its .json is not that of a checkpoint")
        return Saved(content["meta"], files.parse_npz(data), content["config"])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DamagedCheckpoint(f"checkpoint {stem.name} cannot be used ({reason})") from None
