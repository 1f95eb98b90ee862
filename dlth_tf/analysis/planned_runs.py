"""Planned runs of a sweep (`plan.json`), and those without a result yet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf import files
from dlth_tf.analysis.names import check_name
from dlth_tf.errors import BadInput, shown

MOST_REASON = 1000  # letters of a failure


@dataclass(frozen=True)
class PlanEntry:
    """One planned run of a sweep.

    Attributes:
      run_dir: Directory of the run, relative to that of the sweep.
      method: Name of the method.
      sparsity: Fraction of the prunable weights to remove, 0 to 1.
      seed: Seed of the run.
    """

    run_dir: str
    method: str
    sparsity: float
    seed: int


@dataclass(frozen=True)
class Plan:
    """Plan of a sweep; empty if the sweep directory has no `plan.json`.

    Attributes:
      methods: Methods in the requested order.
      runs: All planned runs.
    """

    methods: tuple[str, ...] = ()
    runs: tuple[PlanEntry, ...] = ()


def read_plan(sweep_dir: str | os.PathLike[str]) -> Plan:
    """Reads `plan.json`; a directory without one has an empty plan.

    Raises:
      BadInput: If the file exists but is not a valid plan.
    """
    root = Path(sweep_dir)
    path = root / "plan.json"
    if not files.exists(path):
        return Plan()
    plan = files.read_json_object(path, "sweep_dir", root)
    try:
        methods = tuple(check_name(_typed(name, str)) for name in _typed(plan["methods"], list))
        return Plan(methods, tuple(_plan_entry(run) for run in _typed(plan["runs"], list)))
    except KeyError as error:
        raise BadInput("sweep_dir", root, f"{path.name} is not a valid plan: {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise BadInput("sweep_dir", root, f"{path.name} is not a valid plan: {error}") from None


@dataclass(frozen=True)
class MissingRun:
    """A planned run without a result.

    Attributes:
      run_dir: Directory of the run, relative to that of the sweep.
      started: Whether the directory exists.
      reason: Reason of the last failure; empty if no failure was recorded.
    """

    run_dir: str
    started: bool
    reason: str = ""

    @property
    def state(self) -> str:
        """State of the run in words."""
        if self.reason:
            return f"failed: {self.reason}"
        return "started: stopped or still running" if self.started else "not started"


def missing_runs(sweep_dir: str | os.PathLike[str]) -> tuple[MissingRun, ...]:
    """Returns the planned runs without a `result.json`, in the order of the plan.

    Raises:
      BadInput: If `plan.json` or `failures.json` exists but is invalid.
    """
    root = Path(sweep_dir)
    failures = root / "failures.json"
    plan = read_plan(root)
    reasons = files.read_json_object(failures, "sweep_dir", root) if files.exists(failures) else {}
    return tuple(
        MissingRun(run.run_dir, files.exists(root / run.run_dir), _reason(reasons.get(run.run_dir, "")))
        for run in plan.runs
        if not files.exists(root / run.run_dir / "result.json")
    )


def _reason(value: Any) -> str:
    """Returns the reason of a failure as one line."""
    return " ".join(shown(str(value), MOST_REASON).split())


def _plan_entry(run: Any) -> PlanEntry:
    run = _typed(run, dict)
    sparsity = run["sparsity"]
    return PlanEntry(
        _component(_typed(run["run_dir"], str)),
        check_name(_typed(run["method"], str)),
        _fraction(sparsity if type(sparsity) is int else _typed(sparsity, float)),
        _typed(run["seed"], int),
    )


def _component(name: str) -> str:
    """Returns the name of a directory inside of the sweep's; raises TypeError for any other path."""
    if name in (".", "..") or os.sep in name or len(os.fsencode(check_name(name))) > 255:
        raise TypeError("a run_dir must be one name of a directory inside of the sweep's")
    return name


def _fraction(value: float) -> float:
    if not 0 <= value < 1:
        raise TypeError("a sparsity must be at least 0 and below 1")
    return float(value)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
