"""Console output of the commands: help pages, tables and the log, adapted to the width of the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dlth_tf.errors import shown

LEAST_WIDTH = 40  # of the --help page, in characters
TWO_COLUMNS = 72  # least width at which a flag and its text are printed side by side
MOST_WIDTH = 120
OF_EVERY_COMMAND = (
    "Flags (also from a file: --flagfile=FILE, one per line, or a recipe of the package: --flagfile=dlth:digits/rst; "
    "--recipes lists them, --version prints the version):"
)
OF_A_NOTEBOOK = "JPY_PARENT_PID"  # environment variable that the kernel of a notebook has, and all that it starts
GAP = 2  # characters between the columns of a table


def help_text(usage: str, groups: dict[str, list[tuple[str, str, Any]]]) -> str:
    """Returns the --help page, as wide as the terminal.

    Args:
      usage: Description of the command and examples.
      groups: Flags by heading, each as (name, text, default).
    """
    width = _width()
    lines = [usage.strip(), "", *textwrap.wrap(OF_EVERY_COMMAND, width)]
    for group, entries in groups.items():
        lines += ["", f"{group}:"]
        for name, text, default in entries:
            lines += _help_entry(name, with_default(text, default), width)
    return "\n".join(lines)


def _width() -> int:
    return max(LEAST_WIDTH, min(MOST_WIDTH, shutil.get_terminal_size((MOST_WIDTH, 24)).columns))


def entries_text(entries: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Returns headings with indented paragraphs below each, as wide as the terminal."""
    width = _width()
    lines = []
    for heading, paragraphs in entries:
        lines.append(heading)
        for text in paragraphs:
            lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines)


def can_be_rewritten(stream: TextIO | None) -> bool:
    """Returns whether a stream is a terminal, on which a line can be overwritten.

    A command that a notebook starts with `!` writes to a pseudo terminal, whose output the notebook keeps as it comes.
    """
    return stream is not None and stream.isatty() and OF_A_NOTEBOOK not in os.environ


class _Outliving:
    """An output stream that leads nowhere once its reader has closed the pipe (`| head`), so that work goes on.

    Args:
      stream: The stream, whose other attributes are those of this one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes text, or drops it."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._lead_nowhere()
            return len(text)

    def flush(self) -> None:
        """Writes what is buffered, or drops it."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._lead_nowhere()

    def _lead_nowhere(self) -> None:
        """Redirects the descriptor: the stream keeps what it could not write, and would fail again when Python ends."""
        with contextlib.suppress(OSError):  # a stream of a test or a notebook has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self._stream.fileno())
            finally:
                os.close(nowhere)


@contextlib.contextmanager
def outliving_readers() -> Iterator[None]:
    """Lets the block go on when the reader of standard output or of standard error closes the pipe."""
    streams = sys.stdout, sys.stderr
    outliving: Any = [stream and _Outliving(stream) for stream in streams]  # None where a process has no such stream
    sys.stdout, sys.stderr = outliving
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        for stream in filter(None, outliving):
            with contextlib.suppress(ValueError):  # the stream has been closed
                stream.flush()


def standard_output() -> Console:
    """Returns a console on standard output, with colors and cursor movements only if that is a terminal.

    Left to itself, rich would take FORCE_COLOR for a terminal in a log too.
    """
    return Console(highlight=False, force_terminal=can_be_rewritten(sys.stdout))


@contextlib.contextmanager
def announced(text: str) -> Iterator[None]:
    """Shows a line on stderr while the block runs, if stderr is a terminal."""
    if not can_be_rewritten(sys.stderr):
        yield
        return
    print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print(f"\r{' ' * len(text)}\r", end="", file=sys.stderr, flush=True)


def with_default(text: str, default: Any) -> str:
    """Returns a flag's help text followed by its default, unless the text already states it."""
    return f"{text}; default {default}" if default not in (None, "") and "default" not in text else text


def _help_entry(name: str, text: str, width: int) -> list[str]:
    if width < TWO_COLUMNS:
        return [
            f"  --{name}",
            *textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False),
        ]
    start = f"  --{name}".ljust(27) + " "
    indent = " " * 28
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)


def print_table(frame: Any, console: Console | None = None) -> None:
    """Prints a table as pandas formats it; on a narrower terminal with wrapped cells, or else row by row.

    Args:
      frame: A pandas.DataFrame; its index is not printed.
      console: Console to print to; standard output if None.
    """
    console = console or standard_output()
    text = frame.to_string(index=False)
    if not console.is_terminal or max(map(len, text.splitlines())) <= console.width:
        console.print(text, markup=False, emoji=False, soft_wrap=True)
        return
    cells = frame.astype(str)
    least = [max(len(word) for cell in (name, *cells[name]) for word in cell.split() or [""]) for name in cells]
    if sum(least) + GAP * (len(least) - 1) <= console.width:  # every word fits into its column
        columns = [Column(name, min_width=width) for name, width in zip(cells, least, strict=True)]
        table = Table(*columns, box=box.SIMPLE_HEAD)
        table.show_edge = False
        table.pad_edge = False
        table.padding = (0, GAP - 1, 0, 0)
        for row in cells.itertuples(index=False):
            table.add_row(*map(Text, row))
        console.print(table)
        return
    for row in cells.to_dict("records"):
        first, *others = [f"{name} {value}" for name, value in row.items() if value.strip()] or [""]
        console.print(Text(f"{first}: {', '.join(others)}"), end="\n\n")


class _Lines(logging.Handler):
    """Handler that prints each entry to the current sys.stdout, which a progress bar replaces to print above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(shown(self.format(record)), flush=True)
        except Exception:  # a log that cannot be written must not end a run
            self.handleError(record)


def show_log() -> None:
    """Prints the log of the package, one line per entry."""
    logger = logging.getLogger("dlth_tf")
    logger.setLevel(logging.INFO)
    logger.handlers[:] = [_Lines()]
    logger.propagate = False  # absl's handler on the root logger would print every entry again
