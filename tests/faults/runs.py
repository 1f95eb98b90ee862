"""Starts real runs in separate processes, and reports how they ended."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dlth_tf.runs import runner
from tests.conftest import SESSION_FOLDER
from tests.faults.driver import Fault
from tests.runs import tiny

KILLED, STOPPED, DONE, FAILED, BAD_INPUT = -signal.SIGKILL, 75, 0, 1, 2
PATIENCE = 280  # seconds for one process on a busy machine


@dataclass(frozen=True)
class Ended:
    """The end of a process."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def steps(self) -> int:
        """The number of steps it made; only if it was not killed."""
        return next(int(line.split()[1]) for line in self.out if line.startswith("made "))


def command(fault: Fault | None, method: str, run_dir: Path, **changes: Any) -> list[str]:
    flags = tiny.tiny_flags(method, run_dir, **{"checkpoint_every": "3it", "verbosity": 1, **changes})
    return [sys.executable, "-m", "tests.faults.driver", fault.to_json() if fault else "{}", *flags]


def start(fault: Fault | None, method: str, run_dir: Path, **changes: Any) -> subprocess.Popen[str]:
    """Starts a run without waiting for it."""
    words, pipe = command(fault, method, run_dir, **changes), subprocess.PIPE
    return subprocess.Popen(
        words, cwd=tiny.ROOT, env=tiny.environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    """Waits for the end of a process."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return Ended(process.returncode, out.splitlines(), err.splitlines())


def run(fault: Fault | None, method: str, run_dir: Path, **changes: Any) -> Ended:
    """Starts a run and waits for its end."""
    return ended(start(fault, method, run_dir, **changes))


def reached(process: subprocess.Popen[str], line: str) -> None:
    """Waits until the process prints `line`."""
    said = []
    for found in process.stdout:
        said.append(found)
        if found.strip() == line:
            return
    raise AssertionError(f"never said {line!r}: {said} {process.stderr.read()}")


def outcome(run_dir: Path) -> dict[str, Any]:
    """Everything that must not depend on interruptions: result.json, history and ticket, but no durations."""
    result = json.loads((run_dir / "result.json").read_text())
    del result["cost"]["wall_seconds"]
    for phase in result["phases"]:
        del phase["seconds"]
    history = pd.read_csv(run_dir / "history.csv").drop(columns="seconds").to_dict("records")
    return {**result, "history": history, "ticket": (run_dir / "ticket.npz").read_bytes()}


@functools.cache
def uninterrupted(method: str, **changes: Any) -> dict[str, Any]:
    """The outcome of the same run in this process without interruption; made once for every configuration."""
    run_dir = Path(tempfile.mkdtemp(dir=os.environ[SESSION_FOLDER]), "run")
    runner.run(tiny.tiny(method, run_dir, **{"checkpoint_every": "3it", **changes}))
    return outcome(run_dir)
