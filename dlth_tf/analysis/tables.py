"""Method against sparsity, as numbers, as Markdown, and on the console."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from dlth_tf.analysis.results import setting

_ABSENT = "–"


@dataclass(frozen=True)
class Grid:
    """What every form of the table shows.

    Attributes:
      header: of the columns.
      rows: a method, and its cells as (text, whether it is among the best of its column).
      title: what is measured on what.
      notes: how to read it.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]
    title: str
    notes: str


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation over seeds, for every method and sparsity.

    Args:
      results: what `read_results` gives.

    Returns:
      Columns method, sparsity, n (seeds), test_mean, test_std, val_mean, val_std (accuracies after the last epoch, fractions
      0 to 1), in the order of `results`. With one seed the standard deviation is NaN: one run says nothing about spread.
    """
    return results.groupby(["method", "sparsity"], sort=False, as_index=False).agg(
        n=("test_accuracy_last", "size"),
        test_mean=("test_accuracy_last", "mean"),
        test_std=("test_accuracy_last", "std"),
        val_mean=("val_accuracy_last", "mean"),
        val_std=("val_accuracy_last", "std"),
    )


def among_best(cells: pd.DataFrame) -> pd.Series:
    """Marks the best mean, and every mean that the spread over seeds cannot tell from it.

    A method is marked if it lies within the pooled standard error of its difference from the best, s sqrt(1/n + 1/m) with
    s^2 = ((n-1) s_a^2 + (m-1) s_b^2) / (n+m-2). Where no spread is known, only an equal mean is marked.

    Args:
      cells: the rows of `summary` for one sparsity.

    Returns:
      Booleans with the index of `cells`; all False for a single method, which is best of nothing.
    """
    if len(cells) < 2:
        return pd.Series(False, index=cells.index)
    best = cells.loc[cells["test_mean"].idxmax()]
    freedom = cells["n"] + best["n"] - 2
    squares = (cells["n"] - 1) * cells["test_std"].fillna(0) ** 2 + (best["n"] - 1) * _or_zero(best["test_std"]) ** 2
    error = (squares / freedom.clip(lower=1) * (1 / cells["n"] + 1 / best["n"])) ** 0.5
    return (
        best["test_mean"] - cells["test_mean"] <= error + 1e-12
    )  # equal means differ by rounding, summed in another order


def markdown_table(results: pd.DataFrame) -> str:
    """Test accuracy in percent as a Markdown table, best cells bold, with the notes needed to read it below."""
    shown = grid(results)
    rows = [(method, *(f"**{text}**" if best else text for text, best in cells)) for method, cells in shown.rows]
    return f"{markdown(shown.header, rows)}\n{_escape(shown.title)}. {shown.notes}\n"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    lines = [header, ("---", *["---:"] * (len(header) - 1)), *([_escape(cell) for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def console_table(results: pd.DataFrame) -> Table:
    """The content of `markdown_table` for the console."""
    shown = grid(results)
    table = Table(title=Text(shown.title), caption=Text(shown.notes), caption_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(
        shown.header[0], overflow="fold"
    )  # a narrow console breaks what does not fit, and cuts nothing off
    for name in shown.header[1:]:
        table.add_column(Text(name, justify="right"), justify="right", overflow="fold")
    for method, cells in shown.rows:
        # A count of seeds goes on a line of its own, so that a usual table fits into 80 columns.
        table.add_row(
            Text(method), *(Text(text.replace(" (", "\n("), style="bold green" if best else "") for text, best in cells)
        )
    return table


def percent(fraction: float) -> str:
    """A sparsity as it is spoken: 0.98 -> "98 %".

    >>> percent(.98), percent(.995)
    ('98 %', '99.5 %')
    """
    return f"{round(100 * fraction, 4):g} %"


def grid(results: pd.DataFrame) -> Grid:
    """Method against sparsity: mean and spread of the test accuracy in percent, and what is among the best."""
    cells = summary(results)
    cells["best"] = pd.concat([among_best(column) for _, column in cells.groupby("sparsity")])
    sparsities, methods = sorted(cells["sparsity"].unique()), cells["method"].unique()
    most = cells["n"].max()
    texts = {(cell.method, cell.sparsity): (_cell_text(cell, most), cell.best) for cell in cells.itertuples()}
    return Grid(
        header=("method", *("dense" if sparsity == 0 else percent(sparsity) for sparsity in sparsities)),
        rows=tuple(
            (method, tuple(texts.get((method, sparsity), (_ABSENT, False)) for sparsity in sparsities))
            for method in methods
        ),
        title="Test accuracy in percent: {}, {}, {}".format(*setting(results)),
        notes=_notes(cells),
    )


def _cell_text(cell: Any, most: int) -> str:
    spread = "" if math.isnan(cell.test_std) else f" ± {100 * cell.test_std:.1f}"
    return f"{100 * cell.test_mean:.1f}{spread}" + ("" if cell.n == most else f" (n={cell.n})")


def _notes(cells: pd.DataFrame) -> str:
    notes = [
        "Accuracy is that of the last epoch on the test set, never of the best epoch; columns are the share of weights removed."
    ]
    spread = cells["n"].max() > 1
    if spread:
        notes.append("± is the sample standard deviation over seeds.")
    if cells["best"].any():
        tie = (
            "whose mean lies within the pooled standard error of the difference from it"
            if spread
            else "with the same mean"
        )
        notes.append(f"Bold: the best of the column, and every method {tie}.")
    return " ".join(notes)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
