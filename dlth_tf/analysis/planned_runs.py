"""What a sweep set out to run (`plan.json`), and what of it is still missing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf import files
from dlth_tf.errors import BadInput


@dataclass(frozen=True)
class PlanEntry:
    """One run of a sweep: its directory relative to the sweep's, and what it was to train."""

    run_dir: str
    method: str
    sparsity: float
    seed: int


@dataclass(frozen=True)
class Plan:
    """The methods of a sweep in the order asked for, and every run; both are empty if the sweep left no plan."""

    methods: tuple[str, ...] = ()
    runs: tuple[PlanEntry, ...] = ()


def read_plan(sweep_dir: str | os.PathLike[str]) -> Plan:
    """Reads `plan.json`; a directory without one has an empty plan.

    Raises:
      BadInput: the file is there and cannot be used.
    """
    root = Path(sweep_dir)
    path = root / "plan.json"
    if not path.exists():
        return Plan()
    plan = files.read_json_object(path, "sweep_dir", root)
    try:
        methods = tuple(_typed(name, str) for name in _typed(plan["methods"], list))
        return Plan(methods, tuple(_plan_entry(run) for run in _typed(plan["runs"], list)))
    except KeyError as error:
        raise BadInput("sweep_dir", root, f"{path.name} is no valid plan: {error} is missing") from None
    except TypeError as error:
        raise BadInput("sweep_dir", root, f"{path.name} is no valid plan: {error}") from None


@dataclass(frozen=True)
class MissingRun:
    """A planned run without a result.

    Attributes:
      run_dir: its directory relative to the sweep's.
      begun: whether there is a trace of it.
      reason: why it failed when the sweep last tried, if it did.
    """

    run_dir: str
    begun: bool
    reason: str = ""

    @property
    def state(self) -> str:
        """What is known of it, in words."""
        if self.reason:
            return f"failed: {self.reason}"
        return "begun: stopped or still running" if self.begun else "not begun"


def missing_runs(sweep_dir: str | os.PathLike[str]) -> tuple[MissingRun, ...]:
    """The planned runs that have no `result.json` yet, in the plan's order.

    Raises:
      BadInput: `plan.json` or `failures.json` is there and cannot be used.
    """
    root = Path(sweep_dir)
    found = ((run, root / run.run_dir) for run in read_plan(root).runs)
    failures = root / "failures.json"
    reasons = files.read_json_object(failures, "sweep_dir", root) if failures.exists() else {}
    return tuple(
        MissingRun(run.run_dir, path.exists(), str(reasons.get(run.run_dir, "")))
        for run, path in found
        if not (path / "result.json").is_file()
    )


def _plan_entry(run: Any) -> PlanEntry:
    run = _typed(run, dict)
    sparsity = run["sparsity"]
    return PlanEntry(
        _typed(run["run_dir"], str),
        _typed(run["method"], str),
        float(sparsity if type(sparsity) is int else _typed(sparsity, float)),
        _typed(run["seed"], int),
    )


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"it holds a {type(value).__name__} where a {kind.__name__} belongs")
    return value
