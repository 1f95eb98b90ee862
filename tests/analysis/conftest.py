"""Synthetic sweeps: directories with the files that a real sweep writes, and accuracies chosen by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.core import Ticket

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
        "cost": {
            "images_seen": 6400,
            "training_macs_dense": 1_500_000,
            "training_macs_theoretical": 30_000,
            "wall_seconds": 2.5,
        },
        "parameters": {"total": 1000, "prunable": 900, "nonzero": 118},
        "weights_sha256": "ab" * 32,
        "versions": {},
    }


def make_config(run: tuple[str, float, int], test_images: int = 500) -> dict[str, Any]:
    config = {
        "method": run[0],
        "sparsity": run[1],
        "seed": run[2],
        "run_dir": f"runs/{run_name(*run)}",
        "lr": 0.1,
        "augment": None,
    }
    return {
        "config": config,
        "data": {
            "label_names": [str(digit) for digit in range(10)],
            "examples": {"train": 1097, "validation": 200, "test": test_images},
        },
        "versions": {"python": "3.11.7", "numpy": "2.4.6"},
        "git_commit": "c0ffee",
        "command": ["/home/me/dlth_tf/sweep.py", "--methods=rst,lth", "--model_args={}"],
    }


def write_run(root: Path, history: str, masks: dict[str, Any], **changed: Any) -> Path:
    """Writes the directory of one run; `changed` replaces values of "test" in its result."""
    root.mkdir()
    result = make_result("rst", 0.9, 0, 0.9)
    result["test"] |= changed
    (root / "result.json").write_text(json.dumps(result))
    (root / "history.csv").write_text(history)
    Ticket.from_masks(masks).save(root / "ticket.npz")
    return root


def run_name(method: str, sparsity: float, seed: int) -> str:
    return f"{method}-{sparsity:g}-s{seed}"


def seeds(method: str, sparsity: float, *accuracies: float) -> list[Run]:
    """Returns a run per accuracy, with the seeds 0, 1, 2, ..."""
    return [(method, sparsity, seed, accuracy) for seed, accuracy in enumerate(accuracies)]


@pytest.fixture
def write_sweep(tmp_path: Path) -> WriteSweep:
    """Returns a function that writes a directory per run, and a plan if `methods` is not None."""

    def write(
        runs: Iterable[Run],
        methods: Sequence[str] | None = None,
        missing: Iterable[tuple[str, float, int]] = (),
        configs: bool = False,
    ) -> Path:
        root = tmp_path / "sweep"
        root.mkdir()
        runs = list(runs)
        for run in runs:
            (root / run_name(*run[:3])).mkdir()
            (root / run_name(*run[:3]) / "result.json").write_text(json.dumps(make_result(*run)))
            if configs:
                (root / run_name(*run[:3]) / "config.json").write_text(json.dumps(make_config(run[:3])))
        if methods is not None:
            planned = [run[:3] for run in runs] + list(missing)
            entries = [
                {"run_dir": run_name(*run), **dict(zip(("method", "sparsity", "seed"), run, strict=True))}
                for run in planned
            ]
            (root / "plan.json").write_text(
                json.dumps({"methods": methods, "sparsities": [], "seeds": [], "runs": entries})
            )
        return root

    return write
