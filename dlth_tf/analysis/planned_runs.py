"""What a sweep set out to run (`plan.json`), and what of it is still missing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf.errors import BadInput


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: its directory relative to the sweep's, and what it was to train."""

    run_dir: str
    method: str
    sparsity: float
    seed: int


@dataclass(frozen=True)
class Plan:
    """The methods of a sweep in the order asked for, and every run; both are empty if the sweep left no plan."""

    methods: tuple[str, ...] = ()
    runs: tuple[PlannedRun, ...] = ()


def read_plan(sweep_dir: str | os.PathLike[str]) -> Plan:
    """Reads `plan.json`; a directory without one has an empty plan.

    Raises:
      BadInput: the file is there and cannot be used.
    """
    root = Path(sweep_dir)
    path = root / "plan.json"
    if not path.exists():
        return Plan()
    plan = read_json(root, path)
    try:
        methods = tuple(_typed(name, str) for name in _typed(plan["methods"], list))
        return Plan(methods, tuple(_planned_run(run) for run in _typed(plan["runs"], list)))
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
    found = ((run, Path(sweep_dir) / run.run_dir) for run in read_plan(sweep_dir).runs)
    failures = Path(sweep_dir) / "failures.json"
    reasons = read_json(Path(sweep_dir), failures) if failures.exists() else {}
    return tuple(
        MissingRun(run.run_dir, path.exists(), str(reasons.get(run.run_dir, "")))
        for run, path in found
        if not (path / "result.json").is_file()
    )


def read_json(root: Path, path: Path, thing: str = "sweep_dir") -> dict[str, Any]:
    """The JSON object in `path`, which lies under the directory `root` that the flag `thing` named.

    Raises:
      BadInput: the file cannot be read, or is no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(thing, root, f"{path.relative_to(root)} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(thing, root, f"{path.relative_to(root)} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise BadInput(thing, root, f"{path.relative_to(root)} is no JSON object but a {type(value).__name__}")
    return value


def _planned_run(run: Any) -> PlannedRun:
    run = _typed(run, dict)
    sparsity = run["sparsity"]
    return PlannedRun(
        _typed(run["run_dir"], str),
        _typed(run["method"], str),
        float(sparsity if type(sparsity) is int else _typed(sparsity, float)),
        _typed(run["seed"], int),
    )


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"it holds a {type(value).__name__} where a {kind.__name__} belongs")
    return value
