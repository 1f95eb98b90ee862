"""What a sweep says: a live table on a terminal, a line per finished run elsewhere, and failures.json for the report."""

from __future__ import annotations

import contextlib
import json
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
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.worker import DONE, STOPPED, Outcome

FAILURES, PROGRESS = "failures.json", ".progress"
SHOWN = 16  # running runs in the table


class SweepStatus:
    """Keeps count of a sweep's runs.

    Args:
      sweep_dir: of the sweep.
      grid: all its runs.
      todo: those that are not complete.
      console: to print to; standard output by default.
    """

    def __init__(
        self, sweep_dir: str, grid: Sequence[RunConfig], todo: Sequence[RunConfig], console: Console | None = None
    ) -> None:
        self.folder, self.todo = Path(sweep_dir), list(todo)
        self.before, self.done = len(grid) - len(todo), 0
        self.failed: dict[str, str] = {}
        self.reused: list[dict[str, Any]] = []
        self.console = console or Console(highlight=False)
        self.began, self._lock = time.perf_counter(), threading.Lock()
        self._write_failures()
        for path in (self.folder / PROGRESS).glob("*.json"):  # of runs whose process was killed
            path.unlink(missing_ok=True)

    def progress(self, config: RunConfig) -> Path:
        """The file in which a run says how far it is."""
        return (self.folder / PROGRESS / f"{Path(config.run_dir).name}.json").absolute()

    def finished(self, config: RunConfig, outcome: Outcome, seconds: float) -> None:
        """Counts a run that ended, and says so."""
        with self._lock:
            if outcome.state == STOPPED:
                return
            self.done += outcome.state == DONE
            if outcome.reused:
                self.reused.append(outcome.reused)
            if outcome.state != DONE:
                self.failed[config.run_dir] = outcome.said
                self._write_failures()
            if outcome.details:
                print(f"{config.run_dir}:\n{outcome.details}", file=sys.stderr, flush=True)
            self.console.print(self._line(config, outcome, seconds), soft_wrap=True)

    def _line(self, config: RunConfig, outcome: Outcome, seconds: float) -> str:
        ended, total = self.done + len(self.failed), len(self.todo)
        left = (time.perf_counter() - self.began) / ended * (total - ended)
        name = f"{config.method:<12} {config.sparsity:<5g} seed {config.seed}"
        ending = f", about {left:.0f} s left" if ended < total else ""
        said = outcome.said if outcome.state == DONE else "FAILED"
        return rf"\[{ended:>{len(str(total))}}/{total}] {name}  {said}  {seconds:.1f} s{ending}"

    def _write_failures(self) -> None:
        failed = {Path(run_dir).name: reason for run_dir, reason in self.failed.items()}
        if failed:
            files.write_json(self.folder / FAILURES, failed)
        else:
            (self.folder / FAILURES).unlink(missing_ok=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """On a terminal, shows a table of what runs while the block does."""
        live = Live(console=self.console, refresh_per_second=1, transient=True, get_renderable=self.table)
        try:
            with live if self.console.is_terminal else contextlib.nullcontext():
                yield
        finally:
            with contextlib.suppress(OSError):  # not there, or still of use to a run that ends later
                (self.folder / PROGRESS).rmdir()

    def table(self) -> Group:
        """What runs at this moment, and how many runs wait, are done and have failed."""
        running = self.running()
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("running", "phase", "epoch", "val", "test"):
            table.add_column(name, style="bold" if name == "running" else "")
        for name, facts in list(running.items())[:SHOWN]:
            cells = [name, str(facts.get("phase") or ""), str(facts.get("epoch") or "")]
            table.add_row(
                *cells,
                *(
                    f"{facts[key]:.2%}" if facts.get(key) is not None else ""
                    for key in ("val_accuracy", "test_accuracy")
                ),
            )
        ended = self.done + len(self.failed)
        waiting = max(0, len(self.todo) - ended - len(running))
        more = f", {len(running) - SHOWN} more" if len(running) > SHOWN else ""
        counts = f"{self.before + self.done} done, {len(self.failed)} failed, {len(running)} running{more}, {waiting} pending"
        return Group(table, Text(counts)) if running else Group(Text(counts))

    def running(self) -> dict[str, dict[str, Any]]:
        """What the runs that run say of themselves, by name."""
        found = {}
        for path in sorted((self.folder / PROGRESS).glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                found[path.stem] = json.loads(path.read_text())
        return found

    def summary(self) -> str:
        """What runs had in common, in a sentence; empty if nothing."""
        if not self.reused:
            return ""
        images, seconds = sum(entry["images"] for entry in self.reused), sum(entry["seconds"] for entry in self.reused)
        return f"{len(self.reused)} runs took over a training that another had made: {images:,} images, {seconds:.0f} s"
