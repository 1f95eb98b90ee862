"""Help pages, tables and the log on terminals of any width, and without a terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import sys

import pandas as pd
import pytest
from rich.console import Console

from dlth_tf import train
from dlth_tf.console import announced, print_table, show_log


@pytest.mark.parametrize("columns", [20, 40, 71, 80, 200])
def test_help_is_as_wide_as_the_terminal_and_loses_nothing(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = train.page().split("Flags (also")[1]
    assert max(map(len, narrow.splitlines())) <= max(40, min(columns, 120))
    monkeypatch.setenv("COLUMNS", "120")
    assert "".join(narrow.split()) == "".join(train.page().split("Flags (also")[1].split())


LAYERS = pd.DataFrame(
    {
        "layer": ["flatten", "fc1"],
        "shape": ["", "64x300"],
        "kept": [0, 384],
        "why": ["has no weights [red]", "98.00% by the ticket"],
    }
)


def printed(width: int, terminal: bool = True) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, highlight=False)
    print_table(LAYERS, console)
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "terminal"), [(80, True), (200, True), (40, False), (10, False)])
def test_a_table_is_as_pandas_lays_it_out_where_there_is_room_or_no_terminal(width, terminal):
    assert printed(width, terminal) == LAYERS.to_string(index=False) + "\n"


@pytest.mark.parametrize("width", [20, 28, 32, 40])
def test_a_table_on_a_narrow_terminal_loses_no_word_and_is_no_wider(width):
    lines = printed(width).splitlines()
    assert max(map(len, lines)) <= width and len(lines) > 4
    words = [word for row in LAYERS.astype(str).to_numpy() for cell in row for word in cell.split()]
    assert not [word for word in words if word not in " ".join(lines).replace(",", " ").replace(":", " ").split()]


def test_a_table_too_narrow_for_columns_is_printed_row_by_row():
    assert printed(40).splitlines()[0].split() == ["layer", "shape", "kept", "why"]
    assert printed(20).splitlines()[0].strip() == "layer flatten: kept"


def test_the_log_is_printed_to_the_current_standard_output(monkeypatch):
    logger = logging.getLogger("dlth_tf")
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        show_log()
        monkeypatch.setattr(sys, "stdout", io.StringIO())  # as a progress bar does to print above itself
        logger.info("an entry")
        assert sys.stdout.getvalue() == "an entry\n"
    finally:
        logger.handlers[:], logger.level, logger.propagate = before


def test_a_row_of_empty_cells_is_no_obstacle():
    console = Console(file=io.StringIO(), width=10, force_terminal=True, color_system=None)
    print_table(pd.DataFrame({"a long name": ["", "x"], "and another": ["", "y"]}), console)
    assert "a long" in console.file.getvalue()


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_loaded_is_on_a_terminal_at_once_and_gone_afterwards(fails, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with contextlib.suppress(ImportError), announced("loading ..."):
        assert screen.getvalue() == "loading ..."
        if fails:
            raise ImportError
    assert screen.getvalue() == f"loading ...\r{' ' * 11}\r"


def test_nothing_is_announced_elsewhere(capsys):
    with announced("loading ..."):
        pass
    assert capsys.readouterr() == ("", "")
