"""Tables and sentences that show the report of an export on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from dlth_tf.console import standard_output
from dlth_tf.deploy.report.facts import verdict
from dlth_tf.measures import MSE


def show(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints sizes, times and notes.

    Args:
      report: Content of export.json.
      console: Console to print to; None prints to standard output. Cells and lines are folded to its width.
    """
    console = console or standard_output()
    for part in _parts(report):
        console.print(part)


def show_checks(report: Mapping[str, Any], export_dir: Path) -> None:
    """Prints how the network is served, and how every form compares with the Keras model.

    Args:
      report: Content of export.json.
      export_dir: Folder of the export.
    """
    print(report["served"]["decision"])
    checks = report["verification"]
    images = f"{checks['images']:,} {checks['on']}"
    print(f"checked in a fresh process with TensorFlow {checks['tensorflow']} alone, on {images}:")
    for form, facts in report["forms"].items():
        allowed = "anything" if facts["tolerance"] is None else f"{facts['tolerance']:.1g}"
        difference = f"outputs differ by at most {facts['max_difference']:.1g} (allowed: {allowed})"
        print(f"{export_dir / form}: {difference}{_measured(facts)}")
    if checks["accuracy"] is not None:
        print(f"accuracy of the Keras model on them: {100 * checks['accuracy']:.2f} %")
    if checks["mse"] is not None:
        print(f"{MSE.words} of the Keras model on them: {MSE.text(checks['mse'])}")


def _measured(facts: Mapping[str, Any]) -> str:
    if facts.get("mse") is not None:  # a form of an earlier version has none
        return f", {MSE.words} {MSE.text(facts['mse'])}"
    return "" if facts["accuracy"] is None else f", accuracy {100 * facts['accuracy']:.2f} %"


def _parts(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    parameters = report["parameters"]
    work = report["multiply_adds"]
    forms = report["forms"]
    kept = f"{parameters['nonzero']:,} of {parameters['total']:,} parameters are nonzero"
    yield Text(f"{kept}; the bound is {report['bound_bytes']:,} bytes.")
    if work is not None:
        yield Text(f"Multiply-adds of one image: {work['dense']:,} dense, {work['nonzero']:,} without the zeros.")
    yield _sizes(forms)
    if any("latency" in facts for facts in forms.values()):
        yield Text("Median milliseconds per call with one thread (the dense float32 network in the same runtime):")
        yield _times(forms)
    yield from (Text(note) for facts in forms.values() for note in facts["notes"])


def _sizes(forms: Mapping[str, Any]) -> Table:
    table = _table("form", "bytes", "/ bound", "dense bytes", "nonzero", "mult-adds")
    for name, facts in forms.items():
        table.add_row(
            Text(name),
            f"{facts['bytes']:,}",
            f"{facts['times_bound']:.2f}",
            "" if facts["dense_bytes"] is None else f"{facts['dense_bytes']:,}",
            f"{facts['nonzero']:,}",
            "" if facts["multiply_adds"] is None else f"{facts['multiply_adds']:,}",
        )
    return table


def _times(forms: Mapping[str, Any]) -> Table:
    measured = {name: facts["latency"] for name, facts in forms.items() if "latency" in facts}
    batches = list(dict.fromkeys(batch for latency in measured.values() for batch in latency))
    table = _table("form", *(f"batch {batch} (dense)" for batch in batches))
    for name, latency in measured.items():
        table.add_row(Text(name), *(_time(latency[batch]) if batch in latency else "" for batch in batches))
    return table


def _time(time: Mapping[str, Any]) -> str:
    return f"{time['ms']:.3g} ({time['dense_ms']:.3g}){_slower(time)}"


def _slower(time: Mapping[str, Any]) -> str:
    return " slower" if verdict(time) == "slower" else ""


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table
