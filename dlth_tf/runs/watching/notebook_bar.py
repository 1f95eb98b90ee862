"""The progress bar of a phase in a notebook: one line of a cell's output, updated in place."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import TaskID

WIDTH = 20  # characters of the bar
SECONDS = 0.5  # between two updates, of which each is a message to the browser


class NotebookBar:
    """A bar with the calls of `rich.progress.Progress` that a run makes, without ipywidgets, which rich needs."""

    def __init__(self) -> None:
        self.name = ""
        self.note = ""
        self.total = 0
        self.completed = 0
        self._before: int | None = None  # steps that were completed before the first update
        self._began = 0.0
        self._shown = 0.0
        self._handle: Any = None

    def add_task(self, description: str, *, total: int, note: str) -> TaskID:
        """Sets name, number of steps, and first note; returns the number of the task."""
        self.name = description
        self.total = total
        self.note = note
        return TaskID(0)

    def start(self) -> None:
        """Shows the bar."""
        from IPython.display import display

        self._handle = display(self._content(), raw=True, display_id=True)

    def update(self, task: TaskID, *, completed: int, note: str | None = None) -> None:
        """Sets the number of completed steps and the note; a mere number is not shown more often than every SECONDS."""
        del task
        if self._before is None:
            self._before = completed
            self._began = time.perf_counter()
        self.completed = completed
        self.note = self.note if note is None else note
        now = time.perf_counter()
        if self._handle is not None and (note is not None or now - self._shown >= SECONDS):
            self._shown = now
            self._handle.update(self._content(), raw=True)

    def stop(self) -> None:
        """Shows the last state."""
        if self._handle is not None:
            self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        return {"text/plain": self.line(time.perf_counter() - self._began)}

    def line(self, seconds: float) -> str:
        """Returns the line some seconds after the first update, from which on steps are counted for the time left."""
        full = WIDTH * self.completed // max(1, self.total)
        bar = "━" * full + "─" * (WIDTH - full)
        parts = [self.name, bar, f"{self.completed}/{self.total}", self.note]
        done = self.completed - (self._before or 0)
        if done and self.completed < self.total:
            left = seconds / done * (self.total - self.completed)
            parts.append(f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left")
        return "  ".join(filter(None, parts))
