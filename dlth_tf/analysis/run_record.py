"""Record of the weights of one complete run: its result, its history and its ticket."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dlth_tf import files
from dlth_tf.analysis.names import check_name
from dlth_tf.analysis.results import MOST_ERROR, read_result
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.measures import Measure, measure_in

MAGNITUDES = ("magnitude_kept", "magnitude_removed")
MOST_HEADER = 4096  # bytes of the first line of history.csv
MOST_PHASES = 1000  # in a history; each is marked in the pictures
_NUMBERS = ("step", "penalty", "sparsity", "val_{}", "test_{}")


@dataclass(frozen=True)
class RunRecord:
    """Record of one run.

    Attributes:
      result: Row of `read_results` for this run.
      history: One row per evaluated epoch, with these columns of `history.csv`: phase, and as numbers step, penalty,
        sparsity, val_accuracy and test_accuracy (val_mse and test_mse in regression) and, if the file has them, the two
        of `MAGNITUDES`, which are the mean |w| at the end of the epoch over all weights that the current ticket keeps,
        and over all others (removed already or to be removed), of the tensors that it prunes; 0 or empty if there is no
        such weight. Additional columns total_epoch and total_step count from the start of the run, over all phases.
      ticket: Ticket at the end of the run.
    """

    result: Mapping[str, Any]
    history: pd.DataFrame
    ticket: Ticket

    @property
    def measure(self) -> Measure:
        """Measure of the task of the run."""
        return measure_in(self.result)

    @property
    def has_magnitudes(self) -> bool:
        """True if the history has the columns of `MAGNITUDES`."""
        return set(MAGNITUDES) <= set(self.history.columns)

    @property
    def transformed(self) -> pd.DataFrame:
        """Rows of the epochs at whose end a penalty was active on weights that were not removed yet."""
        active = self.history["penalty"] > 0
        if self.has_magnitudes:
            active &= self.history[list(MAGNITUDES)].gt(0).all(axis=1)
        return self.history[active]

    @property
    def removal_step(self) -> float:
        """Total step of the last removal of weights between two phases; NaN if there was none."""
        jumps = removals(self.history)
        return float(self.history.loc[jumps, "total_step"].max()) if jumps.any() else math.nan


def removals(history: pd.DataFrame) -> pd.Series:
    """Returns which rows of a history are the last ones before weights were removed between two phases."""
    ends = history["phase"].ne(history["phase"].shift(-1))
    return ends & (history["sparsity"].shift(-1) > history["sparsity"])


def read_run(run_dir: str | os.PathLike[str]) -> RunRecord:
    """Reads `result.json`, `history.csv` and `ticket.npz` of a complete run.

    Raises:
      BadInput: If the run is not complete, or a file is missing or invalid.
    """
    root = Path(run_dir)
    if not files.exists(root / "result.json"):
        missing = "" if root.is_dir() else "; there is no such directory"
        raise BadInput("run_dir", run_dir, f"contains no complete run (a result.json){missing}")
    result = read_result(root, root / "result.json", "run_dir")
    try:
        ticket = Ticket.load(root / "ticket.npz")
    except BadInput as error:
        raise BadInput("run_dir", run_dir, f"ticket.npz {error.allowed}") from None
    return RunRecord(result, read_history(root, measure_in(result)), ticket)


def read_history(root: Path, measure: Measure) -> pd.DataFrame:
    """Reads the `history.csv` of a run, as `RunRecord.history` describes it.

    Raises:
      BadInput: If it is missing or invalid.
    """
    try:
        rows = pd.read_csv(io.BytesIO(_table(root / "history.csv")), dtype={"phase": str})
        columns = [
            *(name.format(measure.name) for name in _NUMBERS),
            *(name for name in ("epoch", *MAGNITUDES) if name in rows.columns),
        ]
        numbers = rows[columns].apply(pd.to_numeric)
        if rows.empty or rows["phase"].isna().any() or numbers["step"].isna().any():
            raise ValueError("it has no rows, or rows without a phase or a step")
        if "epoch" in numbers and not numbers["epoch"].ge(1).all():
            raise ValueError("epoch must be at least 1")
        if rows["phase"].ne(rows["phase"].shift()).sum() > MOST_PHASES:
            raise ValueError(f"it has more than {MOST_PHASES:,} phases")
        for phase in rows["phase"].unique():
            check_name(phase)
        for name in columns:
            _check_range(name, numbers[name])
    except OSError as error:
        raise BadInput("run_dir", root, f"history.csv cannot be read ({error.strerror})") from None
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput("run_dir", root, f"history.csv is not a valid history: {' '.join(str(error).split())}") from None
    return numbers.assign(phase=rows["phase"], **_totals(rows["phase"], numbers))


def _check_range(name: str, values: pd.Series) -> None:
    """Raises ValueError for values that no run writes and no picture can show; empty ones are fine."""
    fraction = name.endswith("accuracy") or name == "sparsity"
    most = 1 if fraction else MOST_ERROR if name.endswith("mse") else 2**53
    given = values.dropna()
    if not ((given >= 0) & (given <= most)).all():
        raise ValueError(f"{name} must be from 0 to {most}")


def _table(path: Path) -> bytes:
    """Reads a CSV file whose first line is that of a history, since every column takes memory of its own."""
    data = files.read_file(path, files.MOST_TABLE)
    if len(data.partition(b"\n")[0]) > MOST_HEADER:
        raise ValueError(f"its first line has more than {MOST_HEADER:,} bytes")
    return data


def _totals(phases: pd.Series, numbers: pd.DataFrame) -> dict[str, pd.Series]:
    """Counts epochs and steps over all phases; a file without epochs has a row for each.

    The epochs of each phase start at 0, and its steps at 0 or at the step that it was rewound to.
    """
    steps = numbers["step"]
    counts = numbers[[name for name in ("step", "epoch") if name in numbers]]
    number = (phases.ne(phases.shift()) | counts.le(counts.shift()).any(axis=1)).cumsum()
    epochs = numbers.get("epoch", steps.groupby(number).cumcount() + 1)
    more_epochs = epochs.groupby(number).diff()
    more_steps = steps.groupby(number).diff()
    # An epoch before the first row is as long as the longest after it, but all of them have no more steps than the row
    # says, which is the length of a phase with a single row.
    longest = (more_steps / more_epochs).groupby(number).transform("max")
    first = pd.concat([longest * epochs, steps], axis=1).min(axis=1)
    return {
        "total_epoch": more_epochs.fillna(epochs).cumsum(),
        "total_step": more_steps.fillna(first).cumsum(),
    }
