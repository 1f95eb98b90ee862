"""Status of a sweep: a live table on a terminal, a line per finished run elsewhere, and failures.json."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlth_tf import files
from dlth_tf.analysis.planned_runs import missing_runs
from dlth_tf.console import standard_output
from dlth_tf.errors import BadInput, shown
from dlth_tf.measures import measure_in
from dlth_tf.plain_numbers import shortest
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.worker import DONE, STOPPED, Outcome

FAILURES = "failures.json"
PROGRESS = ".progress"
MOST_LETTERS = 200  # of a name or a phase
MOST_DETAILS = 100_000
SHOWN = 16  # running runs in the table


class SweepStatus:
    """Counts and shows the runs of a sweep.

    Args:
      sweep_dir: Directory of the sweep.
      grid: All runs of the sweep.
      todo: The runs that are not complete.
      console: Console to print to; standard output by default.
    """

    def __init__(
        self, sweep_dir: str, grid: Sequence[RunConfig], todo: Sequence[RunConfig], console: Console | None = None
    ) -> None:
        self.folder = Path(sweep_dir)
        self.todo = list(todo)
        self.before = len(grid) - len(todo)
        self.done = 0
        self.failed: dict[str, str] = {}
        self.failed_before: dict[str, str] = {}
        with contextlib.suppress(BadInput):  # a damaged file is replaced
            self.failed_before = {run.run_dir: run.reason for run in missing_runs(sweep_dir) if run.reason}
        self.reused: list[dict[str, Any]] = []
        self.console = console or standard_output()
        self.began = time.perf_counter()
        self._lock = threading.Lock()
        for config in todo:
            self.failed_before.pop(Path(config.run_dir).name, None)
        files.own_folder(self.folder / PROGRESS, "sweep_dir", self.folder)
        self._write_failures()
        names = "|".join(re.escape(f"{Path(config.run_dir).name}.json") for config in grid)
        files.remove_own(self.folder / PROGRESS, names)  # left by runs whose process was killed

    def progress(self, config: RunConfig) -> Path:
        """Returns the file to which a run writes its progress."""
        return (self.folder / PROGRESS / f"{Path(config.run_dir).name}.json").absolute()

    def finished(self, config: RunConfig, outcome: Outcome, seconds: float) -> None:
        """Counts and prints a run that has ended."""
        with self._lock:
            if outcome.state == STOPPED:
                return
            self.done += outcome.state == DONE
            if outcome.reused:
                self.reused.append(outcome.reused)
            if outcome.state != DONE:
                self.failed[config.run_dir] = shown(outcome.message)
                self._write_failures()
            if outcome.details:
                print(f"{config.run_dir}:\n{shown(outcome.details, MOST_DETAILS)}", file=sys.stderr, flush=True)
            self.console.print(self._line(config, outcome, seconds), soft_wrap=True)

    def _line(self, config: RunConfig, outcome: Outcome, seconds: float) -> str:
        ended = self.done + len(self.failed)
        total = len(self.todo)
        left = (time.perf_counter() - self.began) / ended * (total - ended)
        name = f"{config.method:<12} {shortest(config.sparsity):<5} seed {config.seed}"
        ending = f", about {left:.0f} s left" if ended < total else ""
        message = outcome.message if outcome.state == DONE else "FAILED"
        return rf"\[{ended:>{len(str(total))}}/{total}] {name}  {message}  {seconds:.1f} s{ending}"

    def _write_failures(self) -> None:
        failed = self.failed_before | {Path(run_dir).name: reason for run_dir, reason in self.failed.items()}
        try:
            if failed:
                files.write_json(self.folder / FAILURES, failed)
            else:
                (self.folder / FAILURES).unlink(missing_ok=True)
        except OSError as error:
            raise BadInput("sweep_dir", self.folder, f"{FAILURES} cannot be written ({error.strerror})") from None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Shows a live table of the running runs during the block, on a terminal."""
        live = Live(console=self.console, refresh_per_second=1, transient=True, get_renderable=self.table)
        try:
            with live if self.console.is_terminal else contextlib.nullcontext():
                yield
        finally:
            with contextlib.suppress(OSError):  # it does not exist, or a run that ends later still uses it
                (self.folder / PROGRESS).rmdir()

    def table(self) -> Group:
        """Returns the table of running runs, and the numbers of done, failed, running and pending ones."""
        running = self.running()
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("running", "phase", "epoch", "val", "test"):
            table.add_column(name, style="bold" if name == "running" else "")
        for name, facts in list(running.items())[:SHOWN]:
            measure = measure_in(facts, "test_{}")
            values = (facts.get(f"{split}_{measure.name}") for split in ("val", "test"))
            table.add_row(
                Text(shown(name, MOST_LETTERS)),
                Text(str(facts.get("phase") or "")),
                Text(str(facts.get("epoch") or "")),
                *("" if value is None else measure.text(value) for value in values),
            )
        done = self.before + self.done
        pending = max(0, len(self.todo) - self.done - len(self.failed) - len(running))
        more = f", {len(running) - SHOWN} more" if len(running) > SHOWN else ""
        counts = Text(f"{done} done, {len(self.failed)} failed, {len(running)} running{more}, {pending} pending")
        return Group(table, counts) if running else Group(counts)

    def running(self) -> dict[str, dict[str, Any]]:
        """Returns the progress of the running runs, by name."""
        progress = {}
        for path in sorted((self.folder / PROGRESS).glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                progress[path.stem] = _progress(files.read_json_object(path, "sweep_dir"))
        return progress

    def summary(self) -> str:
        """Returns a sentence about the trainings that were reused; empty if there were none."""
        if not self.reused:
            return ""
        images = sum(entry["images"] for entry in self.reused)
        seconds = sum(entry["seconds"] for entry in self.reused)
        return f"{len(self.reused)} runs reused another run's dense training: {images:,} examples, {seconds:.0f} s"


def _progress(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns what the table shows of the progress of a run; raises ValueError if a run would not have written it."""
    phase = shown(str(facts.get("phase") or ""), MOST_LETTERS)
    epoch = facts.get("epoch")
    name = measure_in(facts, "test_{}").name
    values = {key: facts.get(key) for key in (f"val_{name}", f"test_{name}")}
    for value in (epoch, *values.values()):
        if value is not None and not isinstance(value, int | float):
            raise ValueError(f"its epoch, val_{name} and test_{name} must be numbers")
    return {"phase": phase, "epoch": epoch, **values}
