"""Made-up sweeps: directories with the files that a real sweep leaves, and accuracies that a test chooses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

Run = tuple[str, float, int, float]  # method, sparsity, seed, test accuracy after the last epoch


def result(method: str, sparsity: float, seed: int, accuracy: float) -> dict[str, Any]:
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
        "cost": {"images_seen": 6400, "training_macs_dense": 1.5e12, "training_macs_theoretical": 3e10, "wall_seconds": 2.5},
        "parameters": {"total": 1000, "prunable": 900, "nonzero": 118},
        "weights_sha256": "ab" * 32,
        "versions": {},
    }


def run_name(method: str, sparsity: float, seed: int) -> str:
    return f"digits-mlp-{method}-{sparsity}-s{seed}"


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run directory per run, and a plan if one is given as (methods, runs without an accuracy)."""

    def write(runs: Iterable[Run], plan: tuple[list[str], list[tuple[str, float, int]]] | None = None) -> Path:
        root = tmp_path / "sweep"
        root.mkdir()
        for method, sparsity, seed, accuracy in runs:
            run_dir = root / run_name(method, sparsity, seed)
            run_dir.mkdir()
            (run_dir / "result.json").write_text(json.dumps(result(method, sparsity, seed, accuracy)))
        if plan is not None:
            planned = [{"run_dir": run_name(*run), "method": run[0], "sparsity": run[1], "seed": run[2]} for run in plan[1]]
            (root / "plan.json").write_text(json.dumps({"methods": plan[0], "sparsities": [], "seeds": [], "runs": planned}))
        return root

    return write
