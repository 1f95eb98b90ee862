"""Runs one configuration of a sweep in a worker process, for every backend."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf import data, files, stopping
from dlth_tf.errors import BadInput
from dlth_tf.measures import ACCURACY, measure_in
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import InUse
from dlth_tf.tensorflow_start import start_tensorflow

DONE = "done"
FAILED = "failed"
STOPPED = "stopped"
DIED = "died"
WAIT_FOR_LOCK = 60.0  # seconds: a lost node may take its time to end the process that holds the lock of a run


@dataclass(frozen=True)
class Outcome:
    """Outcome of one run.

    Attributes:
      state: "done"; "failed" (it would fail again); "stopped" after a checkpoint by a signal; or "died" with its
        process.
      message: A few words for the user.
      details: Traceback of a failed run, unless the message is a sentence about its input.
      reused: `cost.reused` of result.json, for a run that reused another run's training.
    """

    state: str
    message: str
    details: str = ""
    reused: dict[str, Any] | None = None


def start_worker(threads: int) -> None:
    """Starts TensorFlow quietly, limited to this worker's share of the cores and to the GPU memory it needs.

    Must be called before TensorFlow is imported. The data set of a run is kept in memory for the next run.

    Args:
      threads: Number of threads of this worker.
    """
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, str(max(1, threads)))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    start_tensorflow()
    data.keep_last()


def run_one(
    config: RunConfig,
    progress: Path | None = None,
    limit: float | None = None,
    signals: Sequence[signal.Signals] = (signal.SIGTERM,),
) -> Outcome:
    """Runs one configuration in this process without output; an exception becomes the outcome.

    Args:
      config: Configuration of the run.
      progress: File for the progress of the run, deleted when the run ends.
      limit: Seconds after which the run is stopped.
      signals: Signals that stop the run after a checkpoint, however many arrive: whoever started this process ends it
        sooner if it must.
    """
    try:
        from dlth_tf.runs.train_and_export import run  # here, since importing it may fail, and that is an outcome too

        deferred = stopping.stop_on_signals(signals, second_ends=False)
        with deferred, time_limit(limit) as limited, writing_progress(progress) as on_row:
            result = when_unlocked(lambda: run(dataclasses.replace(config, verbosity=0), on_row))
    except stopping.Stopped as stopped:
        if limited.is_set():
            return Outcome(FAILED, f"its time limit was reached ({stopped}); run the same command again to resume")
        return Outcome(STOPPED, str(stopped))
    except (Exception, SystemExit) as error:  # a custom model may call sys.exit
        details = "" if isinstance(error, BadInput) and error.__cause__ is None else traceback.format_exc()
        return Outcome(FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}", details)
    return Outcome(DONE, headline(result), reused=result["cost"].get("reused"))


def headline(result: dict[str, Any]) -> str:
    """Returns the headline number of a result in words."""
    measure = measure_in(result["test"], "{}_last")
    unit = "" if measure is ACCURACY else f"{measure.words} "
    return f"test {unit}{measure.text(result['test'][f'{measure.name}_last'])}"


def when_unlocked(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Calls `run`; retries for a while if another process holds the lock, such as one on a lost node that is ending."""
    patience = time.monotonic() + WAIT_FOR_LOCK
    while True:
        try:
            return run()
        except InUse:
            if time.monotonic() > patience:
                raise
            time.sleep(1)


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[threading.Event]:
    """Sends SIGTERM to this process after `seconds`, unless None; yields the event that is set then."""
    reached = threading.Event()

    def end() -> None:
        reached.set()
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(seconds or 0, end)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield reached
    finally:
        timer.cancel()


def _finite(value: Any) -> Any:
    """Returns the value, or None instead of a number that JSON does not have: the run itself says that it diverged."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


@contextlib.contextmanager
def writing_progress(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Yields a function that writes the newest row of a history to `path`, a file that exists during the block."""
    if path is None:
        yield None
        return

    def on_row(row: dict[str, Any]) -> None:
        name = measure_in(row, "test_{}").name
        facts = {name: _finite(row.get(name)) for name in ("phase", "epoch", f"val_{name}", f"test_{name}")}
        with contextlib.suppress(OSError):  # a full disk stops the run elsewhere, where it matters
            files.write_json(path, {**facts, "process": os.getpid()})

    path.parent.mkdir(parents=True, exist_ok=True)
    on_row({"phase": "starting"})
    try:
        yield on_row
    finally:
        path.unlink(missing_ok=True)
