"""The plan of a sweep directory (plan.json): all of its runs, and the recipe that they have in common."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlth_tf import files
from dlth_tf.analysis.planned_runs import Plan, PlanEntry, read_plan
from dlth_tf.analysis.settings import WHERE_ONLY
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS
from dlth_tf.runs import config_checks
from dlth_tf.runs.config import RunConfig

PLAN = "plan.json"
RECIPE = "recipe"  # its entry in the plan; plans of earlier versions have none
OF_A_RUN = ("method", "sparsity", "seed")  # fields that the grid varies


def recipe_of(grid: Sequence[RunConfig], allocation: Any = None) -> dict[str, Any]:
    """Returns the fields that all runs of a sweep have in common, apart from those that do not change the outcome.

    Args:
      grid: Configurations of all runs.
      allocation: The allocation as it was given; None stands for the default, which depends on the method.
    """
    fields = {name: value for name, value in grid[0].to_json().items() if name not in (*OF_A_RUN, *WHERE_ONLY)}
    return {**fields, "allocation": None if allocation is None else grid[0].allocation}


def refuse_other_recipes(grid: Sequence[RunConfig], sweep_dir: str) -> None:
    """Raises BadInput if a sweep directory holds runs of another recipe, since a report takes means over its seeds."""
    _earlier(grid, sweep_dir)


def _earlier(grid: Sequence[RunConfig], sweep_dir: str) -> tuple[Plan, dict[str, Any] | None]:
    """Returns the plan of a sweep directory and its recipe; none of another recipe that no run has begun to use."""
    root = Path(sweep_dir)
    plan = read_plan(root)
    recipe = _recipe_in(root, plan)
    if recipe is None:
        return plan, None
    for config in grid:
        differences = config.differences(_with_recipe(config, recipe))
        if differences and not _has_begun(root, plan):
            return Plan(), None
        if differences:
            allowed = f"holds runs of another recipe, and a sweep directory takes one: {'; '.join(differences)}"
            raise BadInput("sweep_dir", sweep_dir, allowed)
    return plan, recipe


def _has_begun(root: Path, plan: Plan) -> bool:
    """Returns whether a planned run has written a file: one that was refused has not, and may have been a mistake."""
    return any(files.exists(root / run.run_dir / name) for run in plan.runs for name in ("config.json", "result.json"))


def _with_recipe(config: RunConfig, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a run as they would be by another recipe."""
    default = config_checks.default_allocation(config.method, config.granularity)
    of_the_run = {name: value for name, value in config.to_json().items() if name in OF_A_RUN}
    return {**recipe, "allocation": recipe.get("allocation") or default, **of_the_run}


def _recipe_in(root: Path, plan: Plan) -> dict[str, Any] | None:
    """Returns the recipe of a sweep directory; for a plan without one, that of its first run that has begun.

    Raises:
      BadInput: If the recipe is not valid.
    """
    if files.exists(root / PLAN) and RECIPE in (content := files.read_json_object(root / PLAN, "sweep_dir", root)):
        if not isinstance(content[RECIPE], dict):
            raise BadInput("sweep_dir", root, f"{PLAN} is not a valid plan: its {RECIPE} must be an object")
        return content[RECIPE]
    for run in plan.runs:
        path = root / run.run_dir / "config.json"
        fields = files.read_json_object(path, "sweep_dir", root).get("config") if files.exists(path) else None
        if isinstance(fields, dict):
            return _recipe_of_run(fields)
    return None


def _recipe_of_run(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the recipe of a run from its config.json, in which a default allocation is that of its method."""
    recipe = {name: value for name, value in fields.items() if name not in (*OF_A_RUN, *WHERE_ONLY)}
    with contextlib.suppress(BadInput, KeyError):  # of another version
        if recipe["allocation"] == config_checks.default_allocation(str(fields["method"]), str(fields["granularity"])):
            recipe["allocation"] = None
    return recipe


def write_plan(grid: Sequence[RunConfig], sweep_dir: str, allocation: Any = None) -> None:
    """Writes plan.json, from which a report knows all runs of the sweep: those of earlier sweeps of the recipe too.

    Args:
      grid: Configurations of all runs.
      sweep_dir: Directory of the sweep.
      allocation: Argument of `recipe_of`.

    Raises:
      BadInput: If the directory cannot be written to, or holds runs of another recipe.
    """
    root = Path(sweep_dir)
    earlier, recipe = _earlier(grid, sweep_dir)
    new = [PlanEntry(Path(c.run_dir).name, c.method, c.sparsity, c.seed) for c in grid]
    runs = list({run.run_dir: run for run in (*earlier.runs, *new)}.values())
    plan = {
        "methods": list(dict.fromkeys((*earlier.methods, *(run.method for run in new)))),
        "sparsities": sorted({run.sparsity for run in runs if _has_sparsity(run.method)}),
        "seeds": sorted({run.seed for run in runs}),
        RECIPE: recipe or recipe_of(grid, allocation),
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
        files.write_json(root / PLAN, plan)
    except OSError as error:
        raise BadInput("sweep_dir", sweep_dir, f"cannot be written to ({error.strerror})") from None


def _has_sparsity(method: str) -> bool:
    """Returns whether a method takes a sparsity; an unknown one, of another version, is taken to."""
    return method not in METHODS.names() or METHODS.load(method).needs_sparsity
