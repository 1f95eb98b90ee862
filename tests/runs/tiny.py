"""The smallest complete runs, observed during training; the session fixture `tiny_runs` has one of every method.

Digits, a narrow LeNet-300-100 (2,370 parameters), two epochs of 8 steps, a transformation of 9 steps.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from dlth_tf import files, masking
from dlth_tf.data.sets import digits
from dlth_tf.methods import METHODS, Network, Phase
from dlth_tf.runs import runner
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.training_run import Observer
from tests.conftest import SESSION_FOLDER

ROOT = Path(__file__).resolve().parents[2]
FILES = {"config.json", "history.csv", "result.json", "ticket.json", "ticket.npz", "weights.npz"}
# Methods whose runs the fast tests train; those of the others are like one of these, and slow tests train them.
FAST = ("dense", "scratch", "rst", "rst_iter", "early_bird", "snip", "rigl", "ste")
EXAMPLES = {"train": 1097, "validation": 200, "test": 500}
TINY: dict[str, Any] = {
    "dataset": "digits",
    "model": "lenet_300_100",
    "model_args": '{"width": 0.1}',
    "sparsity": 0.9,
    "epochs": 2,
    "penalty_step": 0.2,
    "penalty_every": 1,
    "hold_steps": 3,
    "cycles": 2,
    "deterministic": True,
    "verbosity": 0,
}


def data_dir() -> str:
    """The directory of the session for the prepared digits."""
    folder = Path(os.environ[SESSION_FOLDER]) / "digits"
    folder.mkdir(exist_ok=True)
    return str(folder)


@contextlib.contextmanager
def digits_read_once() -> Iterator[None]:
    """Keeps the digits of the session in memory for all runs of this process: reading them takes a fifth of a run."""
    read, kept = digits._load, functools.cache(digits._load)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "_load", lambda folder: (kept if folder == data_dir() else read)(folder))
        yield


def tiny(method: str, run_dir: Path | str, **changes: Any) -> RunConfig:
    """The configuration of a tiny run."""
    return RunConfig(**{**TINY, "data_dir": data_dir(), "method": method, "run_dir": str(run_dir), **changes})


def as_flags(**values: Any) -> list[str]:
    """--name=value for every argument."""
    return [f"--{name}={value}" for name, value in values.items()]


def tiny_flags(method: str, run_dir: Path | str, **changes: Any) -> list[str]:
    """The same as `tiny`, as a command line."""
    return as_flags(**{**TINY, "data_dir": data_dir(), "method": method, "run_dir": run_dir, **changes})


def environment(**changes: str) -> dict[str, str]:
    """The environment of a separate process: quiet, on the CPU, and with this checkout."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), **changes}


class Watched(Observer):
    """Observes a run, by phase.

    Batches are pure functions of their step, so reading them here does not change the run.

    Attributes:
      batches: Digests of the batches.
      before: Weights before the first step.
      after: Weights after the last step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[str, list[str]] = {}
        self.before: dict[str, dict[str, np.ndarray]] = {}
        self.after: dict[str, dict[str, np.ndarray]] = {}

    def on_phase_begin(self, phase: Phase, network: Network) -> None:
        self.before[phase.name] = weights_of(network)

    def on_fit(self, phase: Phase, batches: tf.data.Dataset) -> None:
        self.batches[phase.name] = [
            files.arrays_sha256({"images": images.numpy(), "labels": labels.numpy()}) for images, labels in batches
        ]

    def on_phase_end(self, phase: Phase, network: Network) -> None:
        self.after[phase.name] = weights_of(network)


def weights_of(network: Network) -> dict[str, np.ndarray]:
    return masking.weight_arrays(network.model)


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
      config: Its configuration.
      returned: The return value of `run`.
      said: Everything it printed.
      watched: What it did.
    """

    config: RunConfig
    returned: dict[str, Any]
    said: str
    watched: Watched

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(Path(self.config.run_dir))

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.directory.result.read_text())

    @property
    def weights(self) -> dict[str, np.ndarray]:
        with np.load(self.directory.weights, allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self.directory.history)


def train(config: RunConfig) -> Finished:
    """Trains a run in this process, and observes it."""
    watched = Watched()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        returned = runner.run(config, observer=watched)
    return Finished(config, returned, said.getvalue(), watched)


class TinyRuns:
    """The tiny runs of a session by method: `tiny_runs["rst"]`; each is trained once, in the first worker to use it.

    Args:
      folder: Parent folder of the run directories, the same for all workers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._finished: dict[str, Finished] = {}
        folder.mkdir(exist_ok=True)

    def __getitem__(self, method: str) -> Finished:
        if method not in self._finished:
            METHODS.check(method)
            with filelock.FileLock(self._folder / f"{method}.lock"):
                self._finished[method] = self._stored(method)
        return self._finished[method]

    def _stored(self, method: str) -> Finished:
        """The run of another worker, if there is one; otherwise trains it."""
        path = self._folder / f"{method}.pickle"
        if not path.exists():
            files.write_atomic(path, pickle.dumps(train(tiny(method, self._folder / method))))
        return pickle.loads(path.read_bytes())


def listing(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Everything in a folder, with its modification time and content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }
