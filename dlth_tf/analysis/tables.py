"""Table of test accuracy, or error, by method and sparsity: as numbers, as Markdown, and for the console."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from dlth_tf.analysis.names import markdown_text
from dlth_tf.analysis.results import headline, measure_of
from dlth_tf.measures import ACCURACY, Measure

ABSENT = "–"


@dataclass(frozen=True)
class Grid:
    """Content of the table, independent of its form.

    Attributes:
      header: Names of the columns.
      rows: Pairs of a method and its cells; a cell is a pair of its text and whether it is among the best of its
        column.
      title: Title with the data set, the model and the number of seeds.
      notes: Notes on how to read the table.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]
    title: str
    notes: str


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Computes mean and sample standard deviation over seeds for every method and sparsity.

    Args:
      results: Table returned by `read_results`.

    Returns:
      Columns method, sparsity, n (number of seeds), test_mean, test_std, val_mean and val_std (accuracies after the
      last epoch, fractions from 0 to 1, or mean squared errors), in the order of `results`. The standard deviation of a
      single seed is NaN.
    """
    test, val = (f"{split}_{measure_of(results).name}_last" for split in ("test", "val"))
    return results.groupby(["method", "sparsity"], sort=False, as_index=False).agg(
        n=(test, "size"), test_mean=(test, "mean"), test_std=(test, "std"), val_mean=(val, "mean"), val_std=(val, "std")
    )


def among_best(cells: pd.DataFrame, measure: Measure = ACCURACY) -> pd.Series:
    """Marks the best mean, and every mean whose distance from it is within the spread over seeds.

    A method is marked if its mean is within the pooled standard error of its difference from the best one, s sqrt(1/n +
    1/m) with s^2 = ((n-1) s_a^2 + (m-1) s_b^2) / (n+m-2). If no spread is known, only equal means are marked.

    Args:
      cells: Rows of `summary` for one sparsity.
      measure: Their measure, which says whether the highest or the lowest is best.

    Returns:
      Booleans with the index of `cells`; all False for a single method, which has nothing to compare with.
    """
    if len(cells) < 2:
        return pd.Series(False, index=cells.index)
    values = cells["test_mean"] * (1 if measure.higher_is_better else -1)
    best = cells.loc[values.idxmax()]
    freedom = cells["n"] + best["n"] - 2
    squares = (cells["n"] - 1) * cells["test_std"].fillna(0) ** 2 + (best["n"] - 1) * _or_zero(best["test_std"]) ** 2
    error = (squares / freedom.clip(lower=1) * (1 / cells["n"] + 1 / best["n"])) ** 0.5
    # The tolerance: equal means can differ by rounding if they were summed in another order.
    return values.max() - values <= error + 1e-12


def markdown_table(results: pd.DataFrame) -> str:
    """Returns test accuracies in percent, or errors, as a Markdown table with the best cells in bold, and notes."""
    content = grid(results)
    rows = [(method, *(f"**{text}**" if best else text for text, best in cells)) for method, cells in content.rows]
    return f"{markdown(content.header, rows)}\n{markdown_text(content.title)}. {content.notes}\n"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table.

    Args:
      header: Names of the columns, as Markdown; the first is aligned left, the others right.
      rows: Plain text of the first column, and Markdown of the others.
    """
    lines = [header, ("---", *["---:"] * (len(header) - 1)), *((markdown_text(name), *cells) for name, *cells in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def console_table(results: pd.DataFrame) -> Group:
    """Returns the content of `markdown_table` for the console; title and notes are as wide as the console."""
    content = grid(results)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(
        content.header[0], overflow="fold"
    )  # a narrow console wraps long cells instead of cutting them off
    for name in content.header[1:]:
        table.add_column(Text(name, justify="right"), justify="right", overflow="fold")
    for method, cells in content.rows:
        # A line break before the number of seeds, so that a typical table fits into 80 columns.
        texts = [Text(text.replace(" (", "\n("), style="bold green" if best else "") for text, best in cells]
        table.add_row(Text(method), *texts)
    return Group(Text(content.title, style="italic"), table, Text(content.notes, style="dim italic"))


def percent(fraction: float) -> str:
    """Formats a fraction in percent, with up to four decimals.

    >>> percent(.98), percent(.995)
    ('98 %', '99.5 %')
    """
    return f"{round(100 * fraction, 4):g} %"


def grid(results: pd.DataFrame) -> Grid:
    """Returns mean and spread of test accuracy or error by method and sparsity, with the best cells marked."""
    measure = measure_of(results)
    cells = summary(results)
    cells["best"] = pd.concat([among_best(column, measure) for _, column in cells.groupby("sparsity")])
    sparsities = sorted(cells["sparsity"].unique())
    methods = cells["method"].unique()
    most = cells["n"].max()
    texts = {(cell.method, cell.sparsity): (_cell_text(cell, most, measure), cell.best) for cell in cells.itertuples()}
    return Grid(
        header=("method", *("dense" if sparsity == 0 else percent(sparsity) for sparsity in sparsities)),
        rows=tuple(
            (method, tuple(texts.get((method, sparsity), (ABSENT, False)) for sparsity in sparsities))
            for method in methods
        ),
        title=f"{title_of(measure)}: {', '.join(headline(results))}",
        notes=_notes(cells, measure),
    )


def title_of(measure: Measure) -> str:
    """Returns what the table lists."""
    return "Test accuracy in percent" if measure is ACCURACY else f"Test {measure.words} (lower is better)"


def _cell_text(cell: Any, most: int, measure: Measure) -> str:
    small = "{:.1f}" if measure.percentage else "{:.2g}"
    spread = "" if math.isnan(cell.test_std) else f" ± {small.format(measure.shown(cell.test_std))}"
    return f"{measure.number(cell.test_mean)}{spread}" + ("" if cell.n == most else f" (n={cell.n})")


def _notes(cells: pd.DataFrame, measure: Measure) -> str:
    notes = [
        f"{measure.words[0].upper()}{measure.words[1:]} is measured on the test set after the last epoch, not after "
        "the best one; columns are the share of weights removed."
    ]
    spread = cells["n"].max() > 1
    if spread:
        notes.append("± is the sample standard deviation over seeds.")
    if cells["best"].any():
        tie = (
            "whose mean is within the pooled standard error of the difference from it"
            if spread
            else "with the same mean"
        )
        notes.append(f"Bold: the best method of the column, and every method {tie}.")
    return " ".join(notes)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
