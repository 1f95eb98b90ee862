"""Table of accuracies: numbers, marks, Markdown and console."""

from __future__ import annotations

import doctest
import io
import math

import pandas as pd
import pytest
from rich.console import Console

from dlth_tf.analysis import tables
from dlth_tf.analysis.names import markdown_text
from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.tables import among_best, console_table, markdown_table, summary
from tests.analysis.conftest import Run, WriteSweep, seeds

RST = seeds("rst", 0.9, 0.96, 0.97, 0.98)  # mean 97, standard deviation 1
# 0.81 below: the standard error of the difference is sqrt(2/3) = 0.816.
NEAR = seeds("lth", 0.9, 0.9519, 0.9619, 0.9719)
FAR = seeds("lth", 0.9, 0.9517, 0.9617, 0.9717)  # 0.83 below
DENSE = seeds("dense", 0.0, 0.985, 0.985, 0.985)


@pytest.fixture
def results(write_sweep: WriteSweep):
    def read(*groups: list[Run]) -> pd.DataFrame:
        return read_results(
            write_sweep([run for group in groups for run in group], methods=["dense", "scratch", "rst", "lth"])
        )

    return read


def cells(markdown: str) -> dict[str, list[str]]:
    """Returns the cells of a Markdown table by the first cell of their row."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("|")]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def on_console(results: pd.DataFrame, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(console_table(results))
    return console.file.getvalue()


def test_mean_and_sample_standard_deviation_are_those_worked_by_hand(results) -> None:
    row = summary(results(RST)).iloc[0]
    assert (row["method"], row["sparsity"], row["n"]) == ("rst", 0.9, 3)
    assert row["test_mean"] == pytest.approx(0.97)
    assert row["test_std"] == pytest.approx(0.01)  # sqrt((0.01^2 + 0.01^2) / 2)
    assert row["val_mean"] == pytest.approx(0.485) and row["val_std"] == pytest.approx(0.005)


def test_one_seed_has_no_spread(results) -> None:
    assert math.isnan(summary(results(seeds("rst", 0.9, 0.976))).iloc[0]["test_std"])


def test_rows_are_methods_in_the_order_of_the_plan_and_columns_are_sparsities(results) -> None:
    table = cells(markdown_table(results(seeds("rst", 0.98, 0.9), RST, FAR, DENSE)))
    assert list(table) == ["method", "---", "dense", "rst", "lth"]
    assert table["method"] == ["dense", "90 %", "98 %"]
    assert table["dense"] == ["98.5 ± 0.0", "–", "–"]
    assert table["rst"] == ["–", "**97.0 ± 1.0**", "90.0 (n=1)"]


def test_a_mean_within_the_pooled_standard_error_of_the_best_is_marked_too(results) -> None:
    table = cells(markdown_table(results(RST, NEAR)))
    assert (table["rst"], table["lth"]) == (["**97.0 ± 1.0**"], ["**96.2 ± 1.0**"])


def test_a_mean_beyond_the_pooled_standard_error_is_not_marked(results) -> None:
    table = cells(markdown_table(results(RST, FAR)))
    assert (table["rst"], table["lth"]) == (["**97.0 ± 1.0**"], ["96.2 ± 1.0"])


@pytest.mark.parametrize(("below", "marked"), [(0.0115, True), (0.0116, False)])
def test_one_seed_is_compared_by_the_spread_of_the_others(results, below: float, marked: bool) -> None:
    marks = among_best(summary(results(RST, seeds("lth", 0.9, 0.97 - below))))  # 1 % sqrt(1/3 + 1) = 1.155 %
    assert list(marks) == [True, marked]


@pytest.mark.parametrize(("other", "marked"), [(0.9759, False), (0.976, True)])
def test_without_any_spread_only_an_equal_mean_is_marked(results, other: float, marked: bool) -> None:
    table = markdown_table(results(seeds("rst", 0.9, 0.976), seeds("lth", 0.9, other)))
    assert (cells(table)["rst"], cells(table)["lth"]) == (["**97.6**"], ["**97.6**" if marked else "97.6"])
    assert "every method with the same mean" in table


def test_equal_means_are_both_marked_whatever_the_order_of_their_seeds(results) -> None:
    marks = among_best(summary(results(seeds("rst", 0.9, 0.1, 0.1, 0.7), seeds("lth", 0.9, 0.7, 0.1, 0.1))))
    assert marks.all()


def test_each_column_has_its_own_best(results) -> None:
    groups = [
        seeds(method, sparsity, *values)
        for method, sparsity, values in (("lth", 0.98, (0.9, 0.901)), ("rst", 0.98, (0.8, 0.801)))
    ]
    table = cells(markdown_table(results(RST, FAR, *groups)))
    assert [text.startswith("**") for text in table["rst"] + table["lth"]] == [True, False, False, True]


def test_a_method_alone_in_its_column_is_best_of_nothing(results) -> None:
    table = markdown_table(results(RST))
    assert "**" not in table and "Bold" not in table


def test_the_notes_say_what_the_numbers_are(results) -> None:
    table = markdown_table(results(RST, FAR))
    for words in (
        "digits, mlp, 3 seeds",
        "last epoch",
        "test set",
        "± is the sample standard deviation",
        "pooled standard error",
    ):
        assert words in table


def test_one_seed_needs_no_note_on_spread(results) -> None:
    table = markdown_table(results(seeds("rst", 0.9, 0.976)))
    assert "1 seed." in table and "±" not in table


def test_the_console_shows_what_the_markdown_shows(results) -> None:
    frame = results(DENSE, RST, FAR, seeds("lth", 0.95, 0.9))
    shown = on_console(frame)
    for row in cells(markdown_table(frame)).values():
        for cell in row:
            assert cell.strip("*").split(" (")[0] in shown or cell.startswith("---")


def test_a_usual_table_fits_into_80_columns_uncut(results) -> None:
    sparsities = (0.9, 0.95, 0.98, 0.99)
    frame = results(
        DENSE,
        *(seeds("scratch", s, 0.9, 0.91, 0.9) for s in sparsities),
        *(seeds("rst", s, 0.9, 0.91) for s in sparsities),
    )
    assert "…" not in on_console(frame) and on_console(frame).count("90.3 ± 0.6") == 4
    assert on_console(frame, width=50).count("90.3 ± 0.6") == 0, "in 50 columns it does not fit"


def test_title_and_notes_of_a_narrow_table_are_as_wide_as_the_console(results) -> None:
    lines = on_console(results(RST, FAR)).splitlines()
    assert lines[0] == "Test accuracy in percent: digits, mlp, 3 seeds"
    assert max(map(len, lines)) > 60 and len(lines) < 14


def test_a_narrow_console_breaks_the_table_and_cuts_nothing_off(results) -> None:
    shown = on_console(
        results(DENSE, *(seeds("lth_iterative", sparsity, 0.9, 0.91, 0.9) for sparsity in (0.9, 0.95, 0.98, 0.99))),
        width=50,
    )
    assert "…" not in shown and shown.count("90.3") == 4 and "lth_iterative" not in shown and "90.3 ± 0.6" not in shown


@pytest.mark.parametrize("name", ["a|b", "[bold]a[/]", "$a$", "package.module:make"])
def test_a_method_is_shown_by_its_own_name(results, name: str) -> None:
    frame = results(seeds(name.replace("/", "_"), 0.9, 0.9)).assign(method=name)
    assert markdown_text(name) in markdown_table(frame) and name in on_console(frame)


def test_docstring_examples_are_true() -> None:
    result = doctest.testmod(tables)
    assert result.failed == 0 and result.attempted == 1
