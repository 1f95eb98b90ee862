"""Made-up sweeps: directories with the files that a real sweep leaves, and accuracies that a test chooses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

Run = tuple[str, float, int, float]  # method, sparsity, seed, test accuracy after the last epoch
WriteSweep = Callable[..., Path]


def make_result(method: str, sparsity: float, seed: int, accuracy: float) -> dict[str, Any]:
    return {
        "method": method,
        "dataset": "digits",
        "model": "mlp",
        "seed": seed,
        "sparsity": {"target": sparsity, "global": 0.9 * sparsity, "prunable": sparsity, "per_tensor": {}},
        "test": {
            "accuracy_last": accuracy,
            "accuracy_best": min(1.0, accuracy + 0.01),
            "accuracy_last5_mean": accuracy,
            "accuracy_before_removal": None,
            "accuracy_after_removal": None,
            "loss_last": 0.1,
        },
        "val": {"accuracy_last": accuracy / 2},
        "phases": [{"name": "finetune", "steps": 100, "epochs": 10, "images": 6400, "seconds": 2.5}],
        "cost": {"images_seen": 6400, "training_macs_dense": 1_500_000, "training_macs_theoretical": 30_000, "wall_seconds": 2.5},
        "parameters": {"total": 1000, "prunable": 900, "nonzero": 118},
        "weights_sha256": "ab" * 32,
        "versions": {},
    }


def run_name(method: str, sparsity: float, seed: int) -> str:
    return f"{method}-{sparsity:g}-s{seed}"


def seeds(method: str, sparsity: float, *accuracies: float) -> list[Run]:
    """A run per accuracy, with the seeds 0, 1, 2, ..."""
    return [(method, sparsity, seed, accuracy) for seed, accuracy in enumerate(accuracies)]


@pytest.fixture
def write_sweep(tmp_path: Path) -> WriteSweep:
    """Writes a directory per run; and a plan of these and of the runs in `missing`, if its order of methods is given."""

    def write(runs: Iterable[Run], methods: Sequence[str] | None = None, missing: Iterable[tuple[str, float, int]] = ()) -> Path:
        root = tmp_path / "sweep"
        root.mkdir()
        runs = list(runs)
        for run in runs:
            (root / run_name(*run[:3])).mkdir()
            (root / run_name(*run[:3]) / "result.json").write_text(json.dumps(make_result(*run)))
        if methods is not None:
            planned = [run[:3] for run in runs] + list(missing)
            entries = [{"run_dir": run_name(*run), **dict(zip(("method", "sparsity", "seed"), run, strict=True))} for run in planned]
            (root / "plan.json").write_text(json.dumps({"methods": methods, "sparsities": [], "seeds": [], "runs": entries}))
        return root

    return write
