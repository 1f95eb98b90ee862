"""What one complete run left behind about its weights."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dlth_tf.analysis.results import read_result
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput

MAGNITUDES = ("magnitude_kept", "magnitude_removed")
_NUMBERS = ("step", "penalty", "sparsity", "val_accuracy", "test_accuracy")


@dataclass(frozen=True)
class RunRecord:
    """One run, for looking at its weights.

    Attributes:
      result: the row of `read_results` for this run.
      history: one row per epoch. Columns of `history.csv`, as far as they are needed: phase, and as numbers step, penalty,
        sparsity, val_accuracy, test_accuracy, and, where the file has them, the two of `MAGNITUDES`: mean |w| at the epoch's
        end over all weights that the ticket in force keeps, and over all that it does not keep (removed already or to be
        removed), of the tensors of which it removes something; 0 or empty where there is none. Beside them `total_step`: steps
        since the start of the run, over all phases.
      ticket: which weights were kept at the end.
    """

    result: Mapping[str, Any]
    history: pd.DataFrame
    ticket: Ticket

    @property
    def has_magnitudes(self) -> bool:
        """Whether the history has the columns at all."""
        return set(MAGNITUDES) <= set(self.history.columns)

    @property
    def transformed(self) -> pd.DataFrame:
        """The epochs at whose end a penalty acted on weights that were still there."""
        acting = self.history["penalty"] > 0
        if self.has_magnitudes:
            acting &= self.history[list(MAGNITUDES)].gt(0).all(axis=1)
        return self.history[acting]

    @property
    def removal_step(self) -> float:
        """The step after which weights were removed for the last time between two phases; NaN if they never were."""
        rows = self.history
        jumps = rows["phase"].ne(rows["phase"].shift(-1)) & (rows["sparsity"].shift(-1) > rows["sparsity"])
        return float(rows.loc[jumps, "total_step"].max()) if jumps.any() else math.nan


def read_run(run_dir: str | os.PathLike[str]) -> RunRecord:
    """Reads `result.json`, `history.csv` and `ticket.npz` of a complete run.

    Raises:
      BadInput: there is no complete run, or a file cannot be used.
    """
    root = Path(run_dir)
    if not (root / "result.json").exists():
        raise BadInput("run_dir", run_dir, "holds no complete run (a result.json)")
    result = read_result(root, root / "result.json", "run_dir")
    try:
        ticket = Ticket.load(root / "ticket.npz")
    except BadInput as error:
        raise BadInput("run_dir", run_dir, f"ticket.npz {error.allowed}") from None
    return RunRecord(result, _read_history(root), ticket)


def _read_history(root: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(root / "history.csv", dtype={"phase": str})
        wanted = [*_NUMBERS, *(name for name in MAGNITUDES if name in rows.columns)]
        numbers = rows[wanted].apply(pd.to_numeric)
        if rows.empty or rows["phase"].isna().any() or numbers["step"].isna().any():
            raise ValueError("it has no rows, or rows without a phase and a step")
    except OSError as error:
        raise BadInput("run_dir", root, f"history.csv cannot be read ({error.strerror})") from None
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput("run_dir", root, f"history.csv is no valid history: {' '.join(str(error).split())}") from None
    return numbers.assign(phase=rows["phase"], total_step=_total_steps(rows["phase"], numbers["step"]))


def _total_steps(phases: pd.Series, steps: pd.Series) -> pd.Series:
    """Steps over all phases: each phase counts its own, from 0 or from the step that it went back to."""
    number = (phases.ne(phases.shift()) | steps.le(steps.shift())).cumsum()
    per_epoch = steps.groupby(number).diff()
    # A phase's first epoch is as long as its second, as far as the phase reaches back; a phase of one epoch is all there is.
    first = per_epoch.groupby(number).transform("first").fillna(steps)
    return per_epoch.fillna(pd.concat([first, steps], axis=1).min(axis=1)).cumsum()
