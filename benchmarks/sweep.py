"""Measures the time that a sweep loses to starting, waiting and sharing the machine.

    python benchmarks/sweep.py [--workers=2] [--runs=12] [--backends=local,ray] [--quick]

Trains the same network on digits with one seed per run: first three runs alone, one after another in one worker; then
three runs in each of several concurrent sweeps of one worker, which shows how much concurrent runs slow each other down
whatever starts them; and then all runs as a sweep on every backend. Prints for each backend:

  efficiency   (number of runs x median time of one alone) / (workers x time of the sweep) of the best  the same with
  the median time of concurrent runs: the share of the machine's speed that the sweep preserves lost         seconds per
  run in which a worker did not run: start of processes and TensorFlow, wait for the last run memory       largest
  resident size of a worker in megabytes (memory shared by processes counts in each)

It also prints the savings of shared trainings: the images of `flags/digits/all_methods.flags` with and without --share
(from its plan), and the time of a sweep of lth and l1 with and without. Each worker has one thread. On a machine with
other load the times are not meaningful.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pandas as pd
import psutil
from absl import app, flags

from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.grid import SHARED, make_grid, run_grid
from dlth_tf.sweeps.local_backend import LocalBackend
from dlth_tf.sweeps.ray_backend import RayBackend

FLAGS = flags.FLAGS
flags.DEFINE_integer("workers", 2, "concurrent runs", lower_bound=1)
flags.DEFINE_integer("runs", 12, "runs of a sweep", lower_bound=2)
flags.DEFINE_integer("epochs", 600, "epochs of one run", lower_bound=1)
flags.DEFINE_list("backends", "local,ray", "backends to measure: local, ray")
flags.DEFINE_bool("quick", False, "two runs of a few epochs, on the local backend only")

RUN = {"dataset": "digits", "model": "lenet_300_100", "batch_size": 64, "lr": 0.05, "deterministic": True}
ALL_METHODS = Path(__file__).resolve().parents[1] / "flags/digits/all_methods.flags"


def grid(folder: Path, methods: str, runs: int, epochs: int, **changes: Any) -> list[RunConfig]:
    return make_grid(methods, ".9", ",".join(map(str, range(runs))), str(folder), {**RUN, "epochs": epochs, **changes})


class Memory:
    """Samples the resident memory of the worker processes during a block."""

    def __enter__(self) -> Memory:
        self.most = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.5):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    self.most = max(self.most, process.memory_info().rss / 2**20)


def timed(configs: Sequence[RunConfig], folder: Path, backend: Any) -> tuple[float, float]:
    """Returns (seconds of the sweep, largest resident megabytes of a worker)."""
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), Memory() as memory:
        status = run_grid(list(configs), str(folder), backend)
    if status.failed:
        raise RuntimeError(f"runs failed: {status.failed}")
    return time.perf_counter() - began, memory.most


def seconds_of(folder: Path) -> list[float]:
    """Returns the durations that the runs report in result.json."""
    return [json.loads(path.read_text())["cost"]["wall_seconds"] for path in folder.glob("*/result.json")]


def backends(root: Path, runs: int, epochs: int, workers: int, names: Sequence[str]) -> pd.DataFrame:
    timed(grid(root / "alone", "scratch", min(3, runs), epochs), root / "alone", LocalBackend(1))
    alone = statistics.median(seconds_of(root / "alone"))
    fastest, slowest = min(seconds_of(root / "alone")), max(seconds_of(root / "alone"))
    print(f"a run alone takes {alone:.1f} s ({fastest:.1f} to {slowest:.1f})")
    concurrent = side_by_side(root, min(3, runs), epochs, workers)
    print(f"next to {workers - 1} more it takes {concurrent:.1f} s")
    rows = []
    for name in names:
        backend = (
            LocalBackend(workers)
            if name == "local"
            else RayBackend("local", (os.cpu_count() or workers) / workers, 0.0)
        )
        folder = root / name
        seconds, memory = timed(grid(folder, "scratch", runs, epochs), folder, backend)
        if isinstance(backend, RayBackend):
            backend.close()
        lost = (workers * seconds - sum(seconds_of(folder))) / runs
        share = {
            label: f"{runs * one / workers / seconds:.2f}"
            for label, one in (("efficiency", alone), ("of the best", concurrent))
        }
        rows.append(
            {
                "backend": name,
                "runs": runs,
                "sweep": f"{seconds:.1f} s",
                **share,
                "lost": f"{lost:.1f} s",
                "memory": f"{memory:.0f} MB",
            }
        )
    return pd.DataFrame(rows)


def side_by_side(root: Path, runs: int, epochs: int, workers: int) -> float:
    """Returns the median time of a run in `workers` concurrent sweeps of one worker each."""
    folders = [root / f"concurrent {number}" for number in range(workers)]
    code = (
        "import sys; import sweep; from pathlib import Path; "
        "sweep.one_worker(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))"
    )
    command = [sys.executable, "-c", code]
    here = Path(__file__).parent
    commands = [[*command, str(folder), str(runs), str(epochs)] for folder in folders]
    started = [subprocess.Popen(words, cwd=here, stderr=subprocess.PIPE, text=True) for words in commands]
    for process in started:
        said = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(f"concurrent runs failed:\n{said}")
    return statistics.median(second for folder in folders for second in seconds_of(folder))


def one_worker(folder: Path, runs: int, epochs: int) -> None:
    """Runs a sweep of one worker; `side_by_side` starts several."""
    timed(grid(folder, "scratch", runs, epochs), folder, LocalBackend(1))


def sharing(root: Path, runs: int, epochs: int, workers: int) -> pd.DataFrame:
    rows = []
    for name, shared in (("one per run", None), ("shared", str(root / "shared" / SHARED))):
        folder = root / ("one per run" if shared is None else "shared")
        seconds, _ = timed(
            grid(folder, "lth,l1", max(1, runs // 4), epochs, shared_dir=shared), folder, LocalBackend(workers)
        )
        rows.append({"trainings": name, "sweep of lth and l1": f"{seconds:.1f} s"})
    return pd.DataFrame(rows)


def planned_saving() -> str:
    """Returns a sentence on the images of the sweep over all methods, with and without sharing."""
    from dlth_tf import sweep
    from dlth_tf.commands import define, define_fields
    from dlth_tf.flag_files import expanded
    from dlth_tf.sweeps.dry_run import (
        plan_runs,
        shared_images,
    )  # here: they import TensorFlow, which workers do on their own

    values = flags.FlagValues()
    fields = [field for field in dataclasses.fields(RunConfig) if field.name not in sweep.FIXED]
    define_fields(values, fields)
    for name, text, default, kind in sweep.GRID:
        define(values, name, default, text, kind)
    values(["sweep", *expanded([f"--flagfile={ALL_METHODS}"])])
    shared = {field.name: values[field.name].value for field in fields} | {"shared_dir": "anywhere"}
    runs = plan_runs(make_grid(values.methods, values.sparsities, values.seeds, "nowhere", shared))
    images, saved = sum(run.images for run in runs), shared_images(runs)
    share = f"{saved:,} of them ({saved / images:.1%}) in trainings that other runs have done"
    return f"all methods on digits: {images:,} images, {share}"


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError("only flags are allowed")
    runs, epochs, names = (2, 4, ["local"]) if FLAGS.quick else (FLAGS.runs, FLAGS.epochs, FLAGS.backends)
    with tempfile.TemporaryDirectory() as folder:
        print(backends(Path(folder), runs, epochs, FLAGS.workers, names).to_string(index=False), end="\n\n")
        print(sharing(Path(folder), runs, epochs, FLAGS.workers).to_string(index=False), end="\n\n")
    logging.getLogger("dlth_tf").setLevel(logging.WARNING)
    os.chdir(ALL_METHODS.parents[2])
    print(planned_saving())


if __name__ == "__main__":
    app.run(main)
