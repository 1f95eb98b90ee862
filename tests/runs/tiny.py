"""The smallest runs that have everything, trained once for all tests of a session and watched while they train.

Digits, a narrow LeNet-300-100 (2,370 parameters), two epochs of 8 steps, a transformation of 9 steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dlth_tf import files
from dlth_tf.data import BatchFormat, BatchOrder
from dlth_tf.methods import METHODS, Network, Phase
from dlth_tf.runs import fit_phase, runner
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
FILES = {"config.json", "history.csv", "result.json", "ticket.json", "ticket.npz", "weights.npz"}
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


def tiny(method: str, run_dir: Path | str, **changes: Any) -> RunConfig:
    """The configuration of a tiny run."""
    return RunConfig(**{**TINY, "data_dir": data_dir(), "method": method, "run_dir": str(run_dir), **changes})


def as_flags(**values: Any) -> list[str]:
    """--name=value for every one."""
    return [f"--{name}={value}" for name, value in values.items()]


def tiny_flags(method: str, run_dir: Path | str, **changes: Any) -> list[str]:
    """The same as `tiny`, as a command line."""
    return as_flags(**{**TINY, "data_dir": data_dir(), "method": method, "run_dir": run_dir, **changes})


def environment(**changes: str) -> dict[str, str]:
    """Of a real process: quiet, on the CPU, and with this checkout."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), **changes}


@dataclass
class Watched:
    """What a run was seen to do: phase -> digests of its batches, weights before its first and after its last step."""

    batches: dict[str, list[str]] = field(default_factory=dict)
    before: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    after: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A run that is done."""

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


@contextlib.contextmanager
def watching() -> Iterator[Watched]:
    """Notes what the runs inside do. Batches are pure functions of their step, so looking at them changes nothing."""
    watched = Watched()
    train_phase, train_batches = runner.train_phase, fit_phase.train_batches

    def noted(network: Network) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in runner.masking.named_weights(network.model).items()}

    def phase_watched(network: Network, phase: Phase, *rest: Any) -> Any:
        def before(network: Network) -> None:
            watched.before[phase.name] = noted(network)

        def after(network: Network) -> None:
            watched.after[phase.name] = noted(network)

        return train_phase(
            network, dataclasses.replace(phase, start=(*phase.start, before), end=(after, *phase.end)), *rest
        )

    def batches_watched(split: Any, order: BatchOrder, form: BatchFormat) -> Any:
        batches = train_batches(split, order, form)
        watched.batches[order.purpose] = [
            files.arrays_sha256({"images": images.numpy(), "labels": labels.numpy()}) for images, labels in batches
        ]
        return batches

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "train_phase", phase_watched)
        patch.setattr(fit_phase, "train_batches", batches_watched)
        yield watched


def train(config: RunConfig) -> Finished:
    """Runs in this process."""
    said = io.StringIO()
    with watching() as watched, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        returned = runner.run(config)
    return Finished(config, returned, said.getvalue(), watched)


_ROOT: list[Path] = []
_FINISHED: dict[str, Finished] = {}


def keep_in(folder: Path) -> None:
    """Says where the shared runs of this session go (tests/runs/conftest.py does)."""
    if not _ROOT:
        _ROOT.append(folder)


def data_dir() -> str:
    """Where the session's digits lie prepared."""
    path = _ROOT[0] / "data"
    path.mkdir(exist_ok=True)
    return str(path)


def finished(method: str) -> Finished:
    """The session's tiny run of a method, trained when it is first asked for."""
    if method not in _FINISHED:
        METHODS.check(method)
        _FINISHED[method] = train(tiny(method, _ROOT[0] / method))
    return _FINISHED[method]


def listing(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Everything under a folder, with the time it was written and its content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }
