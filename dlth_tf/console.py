"""What commands print: help pages, tables and the log, as wide as the terminal is and plain where there is none."""

from __future__ import annotations

import logging
import shutil
import textwrap
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

MOST_NARROW, BESIDE, MOST_WIDE = (
    40,
    72,
    120,
)  # columns of the --help page; from BESIDE on a flag and its text stand side by side
GAP = 2  # columns of a table apart


def help_text(usage: str, groups: dict[str, list[tuple[str, str, Any]]]) -> str:
    """The --help page: usage, then (name, text, default) of every flag under its group's heading, as wide as the terminal is."""
    width = max(MOST_NARROW, min(MOST_WIDE, shutil.get_terminal_size((MOST_WIDE, 24)).columns))
    lines = [usage.strip(), "", *textwrap.wrap("Flags (also from a file: --flagfile=FILE, one per line):", width)]
    for group, entries in groups.items():
        lines += ["", f"{group}:"]
        for name, text, default in entries:
            lines += _help_entry(name, with_default(text, default), width)
    return "\n".join(lines)


def with_default(text: str, default: Any) -> str:
    """A flag's help text with its default, where the text does not tell it already."""
    return f"{text}; default {default}" if default not in (None, "") and "default" not in text else text


def _help_entry(name: str, text: str, width: int) -> list[str]:
    if width < BESIDE:  # no room for two columns
        return [
            f"  --{name}",
            *textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False),
        ]
    start, indent = f"  --{name}".ljust(27) + " ", " " * 28
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)


def print_table(frame: Any, console: Console | None = None) -> None:
    """Prints a table as pandas lays it out; on a terminal that is too narrow for that folded, or else row by row.

    Args:
      frame: a pandas.DataFrame; its index is not shown.
      console: where to; standard output when not given.
    """
    console = console or Console(highlight=False)
    text = frame.to_string(index=False)
    if not console.is_terminal or max(map(len, text.splitlines())) <= console.width:
        console.print(text, markup=False, emoji=False, soft_wrap=True)
        return
    cells = frame.astype(str)
    least = [max(len(word) for text in (name, *cells[name]) for word in text.split() or [""]) for name in cells]
    if sum(least) + GAP * (len(least) - 1) <= console.width:  # no word need be broken
        table = Table(
            *(Column(name, min_width=width) for name, width in zip(cells, least, strict=True)), box=box.SIMPLE_HEAD
        )
        table.show_edge, table.pad_edge, table.padding = False, False, (0, GAP - 1, 0, 0)
        for row in cells.itertuples(index=False):
            table.add_row(*map(Text, row))
        console.print(table)
        return
    for row in cells.to_dict("records"):
        first, *others = [f"{name} {value}" for name, value in row.items() if value.strip()] or [""]
        console.print(Text(f"{first}: {', '.join(others)}"), end="\n\n")


class _Lines(logging.Handler):
    """Prints each entry as a line, above the progress bar where there is one: that stands in for sys.stdout while it moves."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), flush=True)
        except Exception:  # a log that cannot be written is no reason to end a run
            self.handleError(record)


def show_log() -> None:
    """Prints what the package logs, each entry a line."""
    logger = logging.getLogger("dlth_tf")
    logger.setLevel(logging.INFO)
    logger.handlers[:] = [_Lines()]
    logger.propagate = False  # absl's handler on the root would print it again
