"""Measures how much of the machine's speed a sweep keeps, and what shared trainings save.

    python benchmarks/sweep.py [--workers=2] [--runs=12] [--rounds=3] [--backends=local,ray] [--quick]

Trains the same network on digits with one seed per run. In every round, in turn: as many runs as a worker gets, in one
sweep of one worker, alone; the same in `workers` independent sweeps of one worker each, which begin together; and all
of these runs as one sweep on every backend. The start of TensorFlow in each worker is part of all three.

    limit         time alone / time of the independent sweeps: the share of its speed that the machine itself leaves a
                  run beside others, whatever starts them (cores share memory, caches and clock)
    efficiency    time alone / time of the sweep
    of the limit  time of the independent sweeps / time of the sweep: what sweeps lose by themselves
    lost          seconds per run in which a worker did not train: start of processes and TensorFlow, set-up of the
                  runs, wait for the last run
    memory        largest resident size of a worker in megabytes (memory shared by processes counts in each)

Ratios are formed within a round: median, and the smallest and largest. It also prints the savings of shared trainings:
the images of `flags/digits/all_methods.flags` with and without --share (from its plan), and the time of a sweep of lth
and l1 with and without. Each worker has one thread. On a machine with other load the figures are not meaningful.
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
flags.DEFINE_integer("runs", 12, "runs of a sweep, at least one for each worker", lower_bound=2)
flags.DEFINE_integer("rounds", 3, "rounds", lower_bound=1)
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
    """Returns one row per backend, and prints the machine's own limit."""
    share = runs // workers
    rounds = [measured(root / f"round {number}", share, epochs, workers, names) for number in range(FLAGS.rounds)]
    print(f"one sweep of {share} runs on one worker: {rounds[0]['alone'].seconds:.1f} s in the first round")
    print(f"limit, {workers} such sweeps beside each other: {spread([_ratio(r, 'alone', 'apart') for r in rounds])}")
    return pd.DataFrame(
        {
            "backend": name,
            "runs": share * workers,
            "sweep": f"{statistics.median(r[name].seconds for r in rounds):.1f} s",
            "efficiency": spread([_ratio(r, "alone", name) for r in rounds]),
            "of the limit": spread([_ratio(r, "apart", name) for r in rounds]),
            "lost": f"{statistics.median(r[name].lost for r in rounds):.1f} s",
            "memory": f"{max(r[name].memory for r in rounds):.0f} MB",
        }
        for name in names
    )


@dataclasses.dataclass(frozen=True)
class Timed:
    """A sweep: its seconds, the megabytes of a worker, and the seconds lost per run."""

    seconds: float
    memory: float = 0.0
    lost: float = 0.0


def measured(folder: Path, share: int, epochs: int, workers: int, names: Sequence[str]) -> dict[str, Timed]:
    """Returns the sweeps of one round by name."""
    folder.mkdir()
    found = {
        name: Timed(apart(folder / name, share, epochs, number)) for name, number in (("alone", 1), ("apart", workers))
    }
    for name in names:
        cpus = (os.cpu_count() or workers) / workers
        backend = LocalBackend(workers) if name == "local" else RayBackend("local", cpus, 0.0)
        runs = share * workers
        seconds, memory = timed(grid(folder / name, "scratch", runs, epochs), folder / name, backend)
        if isinstance(backend, RayBackend):
            backend.close()
        found[name] = Timed(seconds, memory, (workers * seconds - sum(seconds_of(folder / name))) / runs)
    return found


def apart(folder: Path, runs: int, epochs: int, sweeps: int) -> float:
    """Returns the seconds of independent sweeps of one worker, which begin together, each in a process of its own."""
    folder.mkdir()
    code = "import sys; import sweep; from pathlib import Path; sweep.one_worker(Path(sys.argv[1]), *sys.argv[2:])"
    words = [sys.executable, "-c", code]
    processes = [
        subprocess.Popen(
            [*words, str(folder / str(number)), str(runs), str(epochs)],
            cwd=Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(sweeps)
    ]
    for process in processes:
        process.stdout.readline()  # ready
    began = time.perf_counter()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        if process.returncode:
            raise RuntimeError("independent sweeps failed")
    return time.perf_counter() - began


def one_worker(folder: Path, runs: str, epochs: str) -> None:
    """Runs a sweep of one worker once a line comes; `apart` starts several."""
    print("ready", flush=True)
    input()
    timed(grid(folder, "scratch", int(runs), int(epochs)), folder, LocalBackend(1))


def _ratio(times: dict[str, Timed], over: str, under: str) -> float:
    return times[over].seconds / times[under].seconds


def spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


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
    FLAGS.rounds = 1 if FLAGS.quick else FLAGS.rounds
    with tempfile.TemporaryDirectory() as folder:
        print(backends(Path(folder), runs, epochs, FLAGS.workers, names).to_string(index=False), end="\n\n")
        print(sharing(Path(folder), runs, epochs, FLAGS.workers).to_string(index=False), end="\n\n")
    logging.getLogger("dlth_tf").setLevel(logging.WARNING)
    os.chdir(ALL_METHODS.parents[2])
    print(planned_saving())


if __name__ == "__main__":
    app.run(main)
