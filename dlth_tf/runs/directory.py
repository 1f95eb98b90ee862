"""A run directory: what lies where, and whether a run may use it."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.version import __version__

LOCK = ".lock"
IN_EVERY_RESULT = ("sparsity", "test", "phases", "weights_sha256")
PACKAGES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "tensorflow-datasets", "numpy", "keras-cv")


class InUse(BadInput):
    """Another process runs in the directory."""


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run (DESIGN: "A run directory")."""

    path: Path

    def __getattr__(self, name: str) -> Path:
        paths = {
            "config": "config.json",
            "ticket": "ticket.npz",
            "weights": "weights.npz",
            "history": "history.csv",
            "result": "result.json",
            "checkpoints": "checkpoints",
        }
        if name not in paths:
            raise AttributeError(name)
        return self.path / paths[name]

    def refuse_other_runs(self, config: RunConfig) -> None:
        """Raises BadInput unless the directory is free, or holds this very configuration."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise BadInput("run_dir", self.path, "is a file, and must be a directory")
        if not self.config.exists():
            if any(path.name != LOCK and not files.is_half_written(path) for path in self.path.iterdir()):
                raise BadInput(
                    "run_dir", self.path, "holds other files and no config.json: name an empty or new directory"
                )
            return
        there = read_json(self.config, "run_dir").get("config")
        if not isinstance(there, dict):
            raise BadInput("run_dir", self.path, "its config.json does not say which configuration it is of")
        differences = config.differences(there)
        if differences:
            raise BadInput("run_dir", self.path, f"holds a run of another configuration: {'; '.join(differences)}")
        if config.resume == "never" and not self.result.exists():
            raise BadInput(
                "run_dir", self.path, "holds an unfinished run, and --resume=never allows only a new directory"
            )

    def complete_result(self) -> dict[str, Any] | None:
        """The result of a complete run, or None."""
        if not self.result.exists():
            return None
        result = read_json(self.result, "run_dir")
        missing = [name for name in IN_EVERY_RESULT if name not in result]
        if missing:
            raise BadInput("run_dir", self.path, f"its result.json lacks {', '.join(missing)}")
        return result

    def open(self, config: RunConfig, data: dict[str, Any]) -> filelock.BaseFileLock:
        """Creates the directory, locks it for this process, and writes config.json.

        The lock ends with the process, however that ends. What a killed process had half written is taken away.

        Raises:
          BadInput: it cannot be written to, another process is running in it (InUse), or has used it since the caller looked.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / LOCK)
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InUse("run_dir", self.path, "is in use by another process") from None
        except OSError as error:
            raise BadInput("run_dir", self.path, f"cannot be written to ({error.strerror})") from None
        try:
            self._begin(config, data)
        except BaseException:
            lock.release()
            raise
        return lock

    def _begin(self, config: RunConfig, data: dict[str, Any]) -> None:
        self.refuse_other_runs(
            config
        )  # again: between the first look and the lock another process may have come and gone
        if self.result.exists():
            raise BadInput(
                "run_dir", self.path, "was completed by another process just now: the same command says what it found"
            )
        document = {
            "config": config.to_json(),
            "data": data,
            "versions": versions(),
            "git_commit": git_commit(),
            "command": sys.argv,
        }
        try:
            for folder in (self.path, self.checkpoints):
                files.remove_half_written(folder)
            files.write_json(self.config, document)
        except OSError as error:
            raise BadInput("run_dir", self.path, f"cannot be written to ({error.strerror})") from None


def read_json(path: Path, thing: str) -> dict[str, Any]:
    """Reads a JSON object; raises BadInput in the name of `thing` if it is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(thing, path.parent, f"its {path.name} cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise BadInput(thing, path.parent, f"its {path.name} is not a JSON object")
    return value


def versions() -> dict[str, str]:
    """Python's and the packages' versions that results depend on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"dlth_tf": __version__, "python": sys.version.split()[0], **found}


def git_commit() -> str | None:
    """The commit of the checkout that the package runs from, with "+changes" if it is not clean; None outside of one."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
