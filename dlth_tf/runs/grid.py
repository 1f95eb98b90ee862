"""A sweep: a grid of configurations, and the processes that run it. Does not import TensorFlow in this process."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import queue
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from dlth_tf import files
from dlth_tf.core.allocation import exact
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS
from dlth_tf.quiet import start_tensorflow
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory

Outcome = tuple[str, str]  # ("done", a short report) or ("failed", the reason)


def make_grid(methods: str | None, sparsities: str | None, seeds: str | None, sweep_dir: str, shared: dict[str, Any]) -> list[RunConfig]:
    """One configuration per method, sparsity and seed; a method without sparsity runs once per seed.

    Args:
      methods: comma list.
      sparsities: comma list.
      seeds: comma list.
      sweep_dir: where the run directories go.
      shared: the other fields of every RunConfig.

    Raises:
      BadInput: an empty or unreadable list, or whatever RunConfig refuses.
    """
    names = _words("methods", methods)
    for name in names:
        METHODS.check(name)
    sparse = any(METHODS.load(name).needs_sparsity for name in names)
    levels = list(dict.fromkeys(float(exact(word)) for word in _words("sparsities", sparsities))) if sparse else []
    grid = []
    for name in names:
        for level in levels if METHODS.load(name).needs_sparsity else [None]:
            for seed in _seeds(seeds):
                directory = f"{sweep_dir}/{name}-{'' if level is None else f'{level:g}-'}s{seed}"
                grid.append(RunConfig(**{**shared, "method": name, "sparsity": level, "seed": seed, "run_dir": directory}))
    for config in grid:
        RunDirectory(Path(config.run_dir)).refuse_other_runs(config)
    return grid


def _words(name: str, text: str | None) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))
    if not words:
        raise BadInput(name, text or "(missing)", "must be a comma list with at least one entry")
    return words


def _seeds(text: str | None) -> list[int]:
    words = _words("seeds", text)
    if not all(word.isdecimal() for word in words):
        raise BadInput("seeds", text, "must be whole numbers, at least 0, separated by commas")
    return list(dict.fromkeys(map(int, words)))


def write_plan(grid: list[RunConfig], sweep_dir: str) -> None:
    """Writes plan.json: what the sweep consists of, for the report."""
    runs = [{"run_dir": Path(c.run_dir).name, "method": c.method, "sparsity": c.sparsity, "seed": c.seed} for c in grid]
    plan = {
        "methods": list(dict.fromkeys(c.method for c in grid)),
        "sparsities": sorted({c.sparsity for c in grid if METHODS.load(c.method).needs_sparsity}),
        "seeds": sorted({c.seed for c in grid}),
        "runs": runs,
    }
    try:
        Path(sweep_dir).mkdir(parents=True, exist_ok=True)
        files.write_json(Path(sweep_dir) / "plan.json", plan)
    except OSError as error:
        raise BadInput("sweep_dir", sweep_dir, f"cannot be written to ({error.strerror})") from None


def run_grid(grid: list[RunConfig], parallel: int) -> list[tuple[str, str]]:
    """Runs what is not complete, `parallel` runs at a time; a failed run does not stop the others.

    Each worker is a process that imports TensorFlow once and runs one run after the other; a worker that dies takes
    only its run with it.

    Returns:
      (run directory, reason) of every run that failed.
    """
    waiting: queue.SimpleQueue[RunConfig] = queue.SimpleQueue()
    todo = [config for config in grid if not RunDirectory(Path(config.run_dir)).result.exists()]
    if len(todo) < len(grid):
        print(f"{len(grid) - len(todo)} of {len(grid)} runs are complete already", flush=True)
    for config in todo:
        waiting.put(config)
    board = _Board(len(todo))
    # Threads of this process only wait: each owns one worker process, which it replaces if it dies.
    workers = [threading.Thread(target=_work, args=(waiting, board, parallel), daemon=True) for _ in range(min(parallel, len(todo)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return board.failed


class _Board:
    """Prints one line per finished run and remembers the failed ones."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed, self.began = total, 0, list[tuple[str, str]](), time.perf_counter()
        self._lock = threading.Lock()

    def finished(self, config: RunConfig, outcome: Outcome, seconds: float) -> None:
        with self._lock:
            self.done += 1
            if outcome[0] == "failed":
                self.failed.append((config.run_dir, outcome[1]))
            left = (time.perf_counter() - self.began) / self.done * (self.total - self.done)
            name = f"{config.method:<12} {config.sparsity:<5g} seed {config.seed}"
            ending = f", about {left:.0f} s left" if self.done < self.total else ""
            said = outcome[1] if outcome[0] == "done" else "FAILED"
            print(f"[{self.done:>{len(str(self.total))}}/{self.total}] {name}  {said}  {seconds:.1f} s{ending}", flush=True)


def _work(waiting: queue.SimpleQueue[RunConfig], board: _Board, parallel: int) -> None:
    worker = _new_worker(parallel)
    while True:
        try:
            config = waiting.get_nowait()
        except queue.Empty:
            break
        began = time.perf_counter()
        try:
            outcome = worker.submit(run_one, config).result()
        except BrokenProcessPool:
            outcome = ("failed", "its process died (killed, or out of memory)")
            worker = _new_worker(parallel)
        board.finished(config, outcome, time.perf_counter() - began)
    worker.shutdown()


def _new_worker(parallel: int) -> concurrent.futures.ProcessPoolExecutor:
    threads = max(1, (os.cpu_count() or 1) // parallel)
    return concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(threads,)
    )


def _start_worker(threads: int) -> None:
    """Before TensorFlow is imported: this worker's share of the cores, and no start-up noise."""
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    start_tensorflow()


def run_one(config: RunConfig) -> Outcome:
    """Runs one configuration in this process, silently; what it raises becomes the outcome."""
    import dataclasses
    import traceback

    try:
        from dlth_tf.runs.runner import run

        result = run(dataclasses.replace(config, verbosity=0))
    except (Exception, SystemExit) as error:  # a model of the user's own may call sys.exit
        print(f"{config.run_dir}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
    return "done", f"test {result['test']['accuracy_last']:.2%}"
