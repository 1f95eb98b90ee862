"""What runs one configuration of a sweep, in a worker process of any backend."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf import data, files, stopping
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import InUse
from dlth_tf.tensorflow_start import start_tensorflow

DONE, FAILED, STOPPED, DIED = "done", "failed", "stopped", "died"
WAIT_FOR_LOCK = 60.0  # seconds: a node that is lost may take its time to end the process that holds a run's lock


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    Attributes:
      state: "done"; "failed" (it would fail again); "stopped" after a checkpoint by a signal; "died" with its process.
      said: what to tell the user about it, in a few words.
      details: the traceback of a failed run.
      reused: `cost.reused` of a run that took over a training.
    """

    state: str
    said: str
    details: str = ""
    reused: dict[str, Any] | None = None


def start_worker(threads: int) -> None:
    """Before TensorFlow is imported: this worker's share of the cores and no more of a GPU than it needs, without start-up noise.

    The data set of a run is kept for the next.
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
    """Runs one configuration in this process, silently; what it raises becomes the outcome.

    Args:
      config: of the run.
      progress: file that says how far the run is, while it runs.
      limit: seconds after which the run is stopped.
      signals: those that stop it after a checkpoint.
    """
    try:
        from dlth_tf.runs.runner import run

        with stopping.stop_on_signals(signals), time_limit(limit) as limited, telling(progress) as on_row:
            result = when_free(lambda: run(dataclasses.replace(config, verbosity=0), on_row))
    except stopping.Stopped as stopped:
        if limited.is_set():
            return Outcome(FAILED, f"its time limit was reached ({stopped}); the same command goes on from there")
        return Outcome(STOPPED, str(stopped))
    except (Exception, SystemExit) as error:  # a model of the user's own may call sys.exit
        return Outcome(FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}", traceback.format_exc())
    return Outcome(DONE, f"test {result['test']['accuracy_last']:.2%}", reused=result["cost"].get("reused"))


def when_free(run: Any) -> Any:
    """Calls `run`, again and again for a while if another process holds its directory: that of a lost node may be about to end."""
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
    """Sends SIGTERM to this process after so many seconds; the event says whether it did."""
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


@contextlib.contextmanager
def telling(path: Path | None) -> Iterator[Any]:
    """Gives a function that writes the newest row of a run's history to `path`, which is there as long as the run runs."""
    if path is None:
        yield None
        return

    def on_row(row: dict[str, Any]) -> None:
        facts = {name: row.get(name) for name in ("phase", "epoch", "val_accuracy", "test_accuracy")}
        with contextlib.suppress(OSError):  # a full disk stops the run where it matters, not here
            files.write_json(path, {**facts, "process": os.getpid()})

    path.parent.mkdir(parents=True, exist_ok=True)
    on_row({"phase": "starting"})
    try:
        yield on_row
    finally:
        path.unlink(missing_ok=True)
