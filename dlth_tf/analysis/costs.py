"""Training cost of every method next to its accuracy or error."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from dlth_tf.analysis.results import measure_of
from dlth_tf.analysis.tables import ABSENT, percent, summary

_EFFECTIVE = "removed, effectively"
_COSTS = ("examples seen", "multiply-adds, dense", "multiply-adds, sparse", "wall time")
_NOTES = (
    "Means over seeds; costs include every phase of a run. Multiply-adds are those of training, three times the "
    "forward pass; dense: as if no weight were removed; sparse: as if a removed weight cost nothing, which is a count "
    "and not a measurement of speed. Wall time depends on the machine and on its other load; of training that was done "
    "once for several runs, each has the whole."
)
_EFFECTIVE_NOTE = (
    " Effectively removed are also the kept weights that lie on no path of kept weights from the input to the output: "
    "they compute nothing."
)
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def header(results: pd.DataFrame) -> tuple[str, ...]:
    """Returns the names of the columns of `cost_rows`."""
    effective = [_EFFECTIVE] if _knows_paths(results) else []
    return ("method", "removed", *effective, f"test {measure_of(results).short}", *_COSTS)


def notes(results: pd.DataFrame) -> str:
    """Returns what a reader of `cost_rows` has to know."""
    return _NOTES + (_EFFECTIVE_NOTE if _knows_paths(results) else "")


def _knows_paths(results: pd.DataFrame) -> bool:
    """Returns whether effective sparsity is known of a run that removes weights."""
    return bool(results.loc[results["sparsity"] > 0, "effective_sparsity"].notna().any())


def cost_rows(results: pd.DataFrame) -> list[tuple[str, ...]]:
    """Returns one row of text per method and sparsity, with the columns of `header`, in the order of `results`.

    Args:
      results: Table returned by `read_results`.
    """
    measure = measure_of(results)
    means = results.groupby(["method", "sparsity"], sort=False, as_index=False).mean(numeric_only=True)
    # The same number as in the table of accuracies: a mean computed in another order may round differently.
    cells = means.assign(test_mean=summary(results)["test_mean"])
    return [
        (
            row.method,
            percent(row.sparsity) if row.sparsity else "nothing",
            *([_effectively(row)] if _knows_paths(results) else []),
            measure.number(row.test_mean),
            f"{row.images_seen:,.0f}",
            amount(row.training_macs_dense),
            amount(row.training_macs_theoretical),
            duration(row.wall_seconds + row.reused_seconds),
        )
        for row in cells.itertuples()
    ]


def _effectively(row: Any) -> str:
    if not row.sparsity:
        return "nothing"
    return ABSENT if math.isnan(row.effective_sparsity) else f"{100 * row.effective_sparsity:.1f} %"


def amount(value: float) -> str:
    """Formats a large number with three digits and an SI prefix.

    >>> amount(9_831_168_000), amount(950), amount(999_999)
    ('9.83 G', '950', '1.00 M')
    """
    if value < 999.5:
        return f"{value:.0f}"
    scale, prefix = next(pair for pair in _PREFIXES if value >= 0.9995 * pair[0])
    scaled = value / scale
    return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {prefix}"


def duration(seconds: float) -> str:
    """Formats a time in its largest unit of which there are at least two.

    >>> duration(3.24), duration(754), duration(40_000), duration(400_000)
    ('3.2 s', '12.6 min', '11.1 h', '4.6 d')
    """
    for scale, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.1f} {unit}"
    return f"{seconds:.1f} s"
