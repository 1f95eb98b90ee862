"""Results of a sweep as one table: a row per complete run, with every value validated as it is read."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from dlth_tf import files
from dlth_tf.analysis.mixtures import refuse_mixtures
from dlth_tf.analysis.names import check_name
from dlth_tf.analysis.planned_runs import read_plan
from dlth_tf.errors import BadInput
from dlth_tf.measures import ACCURACY, CLASSIFICATION, MEASURES, Measure, measure_in

MOST_ERROR = 3.5e38  # a squared error is float32


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("must be a whole number, at least 0")
    return value


def _amount(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e30:
        raise ValueError("must be a number, at least 0")
    return float(value)


def _optional_amount(value: Any) -> float:
    return 0.0 if value is None else _amount(value)


def _fraction(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def _sparsity(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise ValueError("must be a number, at least 0 and below 1")
    return float(value)


def _optional_fraction(value: Any) -> float:
    return math.nan if value is None else _fraction(value)


def _error(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= MOST_ERROR:
        raise ValueError("must be a number, at least 0")
    return float(value)


def _optional_error(value: Any) -> float:
    return math.nan if value is None else _error(value)


# Column -> (key in result.json, validation). The only optional values are those that a valid run may lack: a method
# that removes nothing during training has no accuracy around the removal, not every data set has a validation split,
# effective sparsity is not known of every network, and few runs reuse the training of another one.
_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "method": ("method", check_name),
    "dataset": ("dataset", check_name),
    "model": ("model", check_name),
    "seed": ("seed", _count),
    "sparsity": ("sparsity.target", _sparsity),
    "sparsity_prunable": ("sparsity.prunable", _fraction),
    "sparsity_global": ("sparsity.global", _fraction),
    "effective_sparsity": ("effective_sparsity", _optional_fraction),
    "test_{}_last": ("test.{}_last", _fraction),
    "test_{}_best": ("test.{}_best", _fraction),
    "test_{}_last5_mean": ("test.{}_last5_mean", _fraction),
    "val_{}_last": ("val.{}_last", _optional_fraction),
    "{}_before_removal": ("test.{}_before_removal", _optional_fraction),
    "{}_after_removal": ("test.{}_after_removal", _optional_fraction),
    "images_seen": ("cost.images_seen", _count),
    "training_macs_dense": ("cost.training_macs_dense", _amount),
    "training_macs_theoretical": ("cost.training_macs_theoretical", _amount),
    "wall_seconds": ("cost.wall_seconds", _amount),
    "reused_seconds": ("cost.reused.seconds", _optional_amount),
    "parameters_total": ("parameters.total", _count),
    "parameters_nonzero": ("parameters.nonzero", _count),
    "weights_sha256": ("weights_sha256", check_name),
}
TARGET_VARIANCE = "target_variance"  # column of regressions
_OF_ERRORS: dict[Callable[[Any], Any], Callable[[Any], Any]] = {_fraction: _error, _optional_fraction: _optional_error}


def _columns(measure: Measure) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """Returns the columns of results of one task, with the name of its measure."""
    columns = {}
    for column, (key, check) in _COLUMNS.items():
        if "{}" in column and measure is not ACCURACY:
            check = _OF_ERRORS[check]
        columns[column.format(measure.name)] = key.format(measure.name), check
    return columns if measure is ACCURACY else {**columns, TARGET_VARIANCE: (TARGET_VARIANCE, _error)}


def measure_of(results: pd.DataFrame) -> Measure:
    """Returns the measure of a table of `read_results`."""
    return measure_in(results.columns)


def read_results(sweep_dir: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads the `result.json` of every complete run directly under `sweep_dir`.

    Args:
      sweep_dir: Directory of the sweep.

    Returns:
      One row per run, ordered by method (in the order of `plan.json`; unplanned ones follow by name), sparsity and
      seed. Accuracies and sparsities are fractions, 0 to 1; `sparsity` is the target; `run_dir` is relative to
      `sweep_dir`. In regression, "mse" takes the place of "accuracy" in the names of columns, and `target_variance` is
      the variance of the test targets.

    Raises:
      BadInput: If there is no complete run, a result is invalid, or the runs do not belong in one table.
    """
    root = Path(sweep_dir)
    rows = [read_result(root, path) for path in sorted(root.glob("*/result.json"))]
    if not rows:
        missing = "" if root.is_dir() else "; there is no such directory"
        raise BadInput("sweep_dir", sweep_dir, f"contains no complete run (a directory with a result.json){missing}")
    planned = read_plan(root).methods
    rows.sort(key=lambda row: (_position(row["method"], planned), row["method"], row["sparsity"], row["seed"]))
    results = pd.DataFrame(rows, columns=_one_task(root, rows))
    refuse_mixtures(root, results)
    return results


def headline(results: pd.DataFrame) -> tuple[str, str, str]:
    """Returns the data set, the model, and the number of seeds per cell in words ("3 seeds", "2 to 3 seeds")."""
    counts = results.groupby(["method", "sparsity"]).size()
    fewest = counts.min()
    most = counts.max()
    number = f"{fewest} to {most}" if fewest < most else f"{most}"
    return results["dataset"].iloc[0], results["model"].iloc[0], f"{number} seed{'s' if most > 1 else ''}"


def read_result(root: Path, path: Path, thing: str = "sweep_dir") -> dict[str, Any]:
    """Reads one row of `read_results`.

    Args:
      root: Directory that contains `path`.
      path: A `result.json`.
      thing: Flag that named `root`, for error messages.

    Raises:
      BadInput: If the file cannot be read or contains an invalid value.
    """
    result = files.read_json_object(path, thing, root)
    row = {}
    task = result.get("task", CLASSIFICATION)
    if not isinstance(task, str) or task not in MEASURES:
        problem = f"task is {reprlib.repr(task)}, but must be one of {', '.join(MEASURES)}"
        raise BadInput(thing, root, f"{path.relative_to(root)} is not a valid result: {problem}")
    for column, (key, check) in _columns(MEASURES[task]).items():
        value = _look_up(result, key)
        try:
            row[column] = check(value)
        except ValueError as error:
            problem = f"{key} is {'missing' if value is None else reprlib.repr(value)}, but {error}"
            raise BadInput(thing, root, f"{path.relative_to(root)} is not a valid result: {problem}") from None
    try:
        return row | {"run_dir": check_name(path.parent.name or path.parent.resolve().name)}
    except ValueError as error:
        raise BadInput(thing, root, f"its directory {path.parent.name} {error}") from None


def _one_task(root: Path, rows: list[dict[str, Any]]) -> list[str]:
    """Returns the columns of the rows; raises BadInput if some are classifications and some regressions."""
    measures = {measure_in(row).name: measure_in(row) for row in rows}
    if len(measures) > 1:
        problem = f"contains runs that are judged by {' and '.join(sorted(measures))}"
        raise BadInput("sweep_dir", root, f"{problem}; a report compares methods on one task")
    return [*_columns(next(iter(measures.values()))), "run_dir"]


def _look_up(result: dict[str, Any], key: str) -> Any:
    value: Any = result
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _position(method: str, planned: tuple[str, ...]) -> int:
    return planned.index(method) if method in planned else len(planned)
