"""Help pages, tables and the log on terminals of any width, and without a terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys

import pandas as pd
import pytest
from rich.console import Console

from dlth_tf import train
from dlth_tf.console import announced, outliving_readers, print_table, show_log, standard_output


@pytest.mark.parametrize("columns", [20, 40, 71, 80, 200])
def test_help_is_as_wide_as_the_terminal_and_loses_nothing(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = train.page().split("Flags (also")[1]
    assert max(map(len, narrow.splitlines())) <= max(40, min(columns, 120))
    monkeypatch.setenv("COLUMNS", "120")
    assert "".join(narrow.split()) == "".join(train.page().split("Flags (also")[1].split())


class Broken(io.StringIO):
    """A stream whose reader has closed the pipe, with or without a descriptor."""

    def __init__(self, descriptor: int | None) -> None:
        super().__init__()
        self.descriptor = descriptor

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError

    def fileno(self) -> int:
        return super().fileno() if self.descriptor is None else self.descriptor


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("with_descriptor", [True, False])
def test_work_goes_on_without_a_reader(name, with_descriptor, monkeypatch, tmp_path):
    descriptor = os.open(tmp_path / "pipe", os.O_WRONLY | os.O_CREAT) if with_descriptor else None
    broken = Broken(descriptor)
    monkeypatch.setattr(sys, name, broken)
    with outliving_readers():
        for _ in range(2):
            assert getattr(sys, name).write("text") == 4
            print("text", file=getattr(sys, name), flush=True)
        Console(file=getattr(sys, name)).print("text")
        standard_output().print("text")
    assert getattr(sys, name) is broken
    if descriptor is not None:
        assert os.write(descriptor, b"dropped") == 7 and not (tmp_path / "pipe").read_bytes()
        os.close(descriptor)


def test_what_else_a_stream_raises_is_raised(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(ValueError, match="closed file"), outliving_readers():
        print("text")
    with outliving_readers():
        pass  # nothing is left to write


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
