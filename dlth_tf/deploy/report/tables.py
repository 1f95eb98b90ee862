"""The report of an export as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


def show(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints sizes, times and notes; cells and lines are folded, so that any width will do."""
    console = console or Console(highlight=False)
    for part in _parts(report):
        console.print(part)


def _parts(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    parameters, work, forms = report["parameters"], report["multiply_adds"], report["forms"]
    kept, total, bound = parameters["nonzero"], parameters["total"], report["bound_bytes"]
    yield Text(f"{kept:,} of {total:,} parameters are not zero; the bound is {bound:,} bytes.")
    if work is not None:
        yield Text(f"Multiply-adds of one image: {work['dense']:,} dense, {work['nonzero']:,} without the zeros.")
    yield _sizes(forms)
    if any("latency" in facts for facts in forms.values()):
        yield Text("Median milliseconds of a call with one thread, and of the dense network in the same form:")
        yield _times(forms)
    yield from (Text(note) for facts in forms.values() for note in facts["notes"])


def _sizes(forms: Mapping[str, Any]) -> Table:
    table = _table("form", "bytes", "/ bound", "dense bytes", "non-zeros", "mult-adds")
    for name, facts in forms.items():
        work = "" if facts["multiply_adds"] is None else f"{facts['multiply_adds']:,}"
        sizes = (
            f"{facts['bytes']:,}",
            f"{facts['times_bound']:.2f}",
            f"{facts['dense_bytes']:,}",
            f"{facts['nonzero']:,}",
        )
        table.add_row(Text(name), *sizes, work)
    return table


def _times(forms: Mapping[str, Any]) -> Table:
    measured = {name: facts["latency"] for name, facts in forms.items() if "latency" in facts}
    batches = list(next(iter(measured.values())))
    table = _table("form", *(f"batch {batch} (dense)" for batch in batches))
    for name, latency in measured.items():
        table.add_row(
            Text(name), *(f"{latency[batch]['ms']:.3g} ({latency[batch]['dense_ms']:.3g})" for batch in batches)
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table
