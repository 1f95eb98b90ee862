"""A sweep on this machine: processes that import TensorFlow once and run one run after the other."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.status import SweepStatus
from dlth_tf.sweeps.worker import DIED, STOPPED, Outcome, run_one, start_worker

GRACE = 12.0  # seconds that workers have to write a checkpoint when the sweep is stopped


class Worker:
    """One process; what it is given to run, it runs, until it is closed.

    Args:
      threads: its share of the cores.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self.process = context.Process(target=serve, args=(there, threads))
        self.process.start()
        there.close()

    def run(self, *arguments: Any) -> Outcome:
        """`run_one(*arguments)` in that process."""
        try:
            self._here.send(arguments)
            return self._here.recv()
        except (EOFError, OSError):
            self.process.join()
            return Outcome(DIED, f"its process died ({_how(self.process.exitcode)})")

    def close(self) -> None:
        """Ends the process when its run is over."""
        self._here.close()
        self.process.join()


def _how(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "killed, or out of memory"
    return f"exit code {exitcode}" if exitcode is None or exitcode >= 0 else signal.Signals(-exitcode).name


def serve(connection: Connection, threads: int) -> None:
    """The worker's side."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group: the sweep decides what comes of it
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    start_worker(threads)
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        connection.send(run_one(*arguments))


def _end_with_the_sweep() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)  # the run stops after a checkpoint


class LocalBackend:
    """Runs a sweep on this machine.

    Args:
      parallel: runs at a time.
      max_retries: how often a run is begun again whose process died.
      limit: seconds for one run.
    """

    def __init__(self, parallel: int, max_retries: int = 0, limit: float | None = None) -> None:
        self.parallel, self.max_retries, self.limit = parallel, max_retries, limit
        self._stopping, self._workers = threading.Event(), set[Worker]()

    def run(self, todo: Sequence[RunConfig], board: SweepStatus) -> None:
        """Runs everything; a run that fails does not stop the others."""
        waiting: queue.SimpleQueue[RunConfig] = queue.SimpleQueue()
        for config in todo:
            waiting.put(config)
        # Threads of this process only wait: each owns one worker process, which it replaces if it dies.
        threads = [
            threading.Thread(target=self._work, args=(waiting, board), daemon=True)
            for _ in range(min(self.parallel, len(todo)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # with a timeout, so that a signal is heard on every system

    def stop(self) -> None:
        """Lets every run write a checkpoint, and ends the workers."""
        self._stopping.set()
        workers = list(self._workers)
        for worker in workers:
            worker.process.terminate()
        end = time.monotonic() + GRACE
        for worker in workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            worker.process.kill()

    def _work(self, waiting: queue.SimpleQueue[RunConfig], board: SweepStatus) -> None:
        worker = self._new_worker()
        while not self._stopping.is_set():
            try:
                config = waiting.get_nowait()
            except queue.Empty:
                break
            began = time.perf_counter()
            for attempt in range(1 + self.max_retries):
                outcome = worker.run(config, board.progress(config), self.limit)
                if outcome.state == DIED and not self._stopping.is_set():
                    self._workers.discard(worker)
                    worker = self._new_worker()
                if outcome.state not in (DIED, STOPPED) or self._stopping.is_set() or attempt == self.max_retries:
                    break
            if not self._stopping.is_set():
                board.finished(config, outcome, time.perf_counter() - began)
        self._workers.discard(worker)
        worker.close()

    def _new_worker(self) -> Worker:
        worker = Worker((os.cpu_count() or 1) // self.parallel)
        self._workers.add(worker)
        return worker
