"""Run directories: the files of a run, and the checks that a run may use a directory."""

from __future__ import annotations

import importlib.metadata
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
    """Another process is running in the directory."""


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run.

    Attributes:
      path: The directory, which need not exist yet.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration, versions and command line; written first."""
        return self.path / "config.json"

    @property
    def ticket(self) -> Path:
        """The masks of the final ticket."""
        return self.path / "ticket.npz"

    @property
    def weights(self) -> Path:
        """The final stripped weights by name."""
        return self.path / "weights.npz"

    @property
    def network(self) -> Path:
        """Description of a network of the user's own (`own_network`)."""
        return self.path / "network.json"

    @property
    def history(self) -> Path:
        """One row per epoch and phase."""
        return self.path / "history.csv"

    @property
    def result(self) -> Path:
        """The outcome; a run is complete if and only if this file exists and is valid."""
        return self.path / "result.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, deleted when the run is complete."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The folder of events for TensorBoard, and of nothing else."""
        return self.path / "tensorboard"

    def refuse_other_runs(self, config: RunConfig) -> None:
        """Raises BadInput unless the directory is unused or belongs to a run with this configuration."""
        if not files.exists(self.path):
            return
        if not self.path.is_dir():
            raise BadInput("run_dir", self.path, "is a file, and must be a directory")
        if not self.config.exists():
            if any(path.name != LOCK and not files.is_half_written(path) for path in self.path.iterdir()):
                raise BadInput(
                    "run_dir", self.path, "contains other files but no config.json: use an empty or new directory"
                )
            return
        saved = files.read_json_object(self.config, "run_dir").get("config")
        if not isinstance(saved, dict):
            raise BadInput("run_dir", self.path, "its config.json does not contain a configuration")
        differences = config.differences(saved)
        if differences:
            raise BadInput("run_dir", self.path, f"holds a run of another configuration: {'; '.join(differences)}")
        if config.resume == "never" and not self.result.exists():
            raise BadInput(
                "run_dir", self.path, "holds an unfinished run, and --resume=never requires an empty or new directory"
            )

    def _refuse_other_data(self, config: RunConfig, data: dict[str, Any]) -> None:
        """Raises BadInput if a run has begun here with other examples; runs of older versions did not record them."""
        if not self.config.exists():
            return
        saved = files.read_json_object(self.config, "run_dir").get("data")
        began_with = saved.get("sha256") if isinstance(saved, dict) else None
        if began_with is not None and began_with != data.get("sha256"):
            allowed = f"holds a run that began with other examples: those of {config.dataset} have changed since"
            raise BadInput("run_dir", self.path, allowed)

    def complete_result(self) -> dict[str, Any] | None:
        """Returns the result of a complete run, or None if the run is not complete.

        Raises:
          BadInput: If result.json cannot be read, lacks a required key, or has an invalid value.
        """
        if not files.exists(self.result):
            return None
        from dlth_tf.analysis.results import read_result  # here, since it imports pandas

        result = files.read_json_object(self.result, "run_dir")
        missing = [name for name in IN_EVERY_RESULT if name not in result]
        if missing:
            raise BadInput("run_dir", self.path, f"its result.json lacks {', '.join(missing)}")
        read_result(self.path, self.result, "run_dir")
        return result

    def is_complete(self) -> bool:
        """Returns whether the run is complete; a result.json that is not a valid result does not count."""
        try:
            return self.complete_result() is not None
        except BadInput:
            return False

    def check_complete(self) -> None:
        """Raises BadInput unless the directory is that of a complete run."""
        required = (self.config, self.ticket, self.weights, self.result)
        missing = [path.name for path in required if not files.exists(path)]
        if missing:
            lacking = f"it lacks {', '.join(missing)}" if self.path.is_dir() else "there is no such directory"
            raise BadInput("run_dir", self.path, f"is not the directory of a complete run ({lacking})")

    def open(self, config: RunConfig, data: dict[str, Any]) -> filelock.BaseFileLock:
        """Creates the directory, locks it for this process, and writes config.json.

        The lock is released when the process ends, however it ends. Files that a killed process was still writing are
        deleted.

        Args:
          config: Configuration of the run.
          data: Description of the data set for config.json.

        Raises:
          InUse: If another process is running in the directory.
          BadInput: If the directory cannot be written to, or another process has used it since `refuse_other_runs` was
            called.
        """
        for folder in (self.checkpoints, self.tensorboard):
            files.own_folder(folder, "run_dir", self.path)
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
        # Again: another process may have run in it between the first check and the lock.
        self.refuse_other_runs(config)
        self._refuse_other_data(config, data)
        if self.result.exists():
            raise BadInput(
                "run_dir",
                self.path,
                "was just completed by another process: run the same command again to see its result",
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


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    packages = {name: version_of(name) for name in PACKAGES}
    return {"dlth_tf": __version__, "python": sys.version.split()[0], **packages}


def version_of(package: str) -> str:
    """Returns the version of a package, or those of the packages that provide its module, with their names.

    `tensorflow-cpu` and `tf-nightly` provide `tensorflow` without a package of that name. "unknown" if no package does.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        providers = importlib.metadata.packages_distributions().get(package.replace("-", "_"), ())
        return ", ".join(f"{importlib.metadata.version(name)} ({name})" for name in providers) or "unknown"


def git_commit() -> str | None:
    """Returns the commit of the checkout that the package runs from, or None outside a checkout.

    "+changes" is appended if tracked files were modified.
    """
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(  # noqa: S603 (words of this function alone)
            ["git", "-C", str(here), *words],  # noqa: S607 (the git that the user has)
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
