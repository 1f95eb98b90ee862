"""LocalBackend: a sweep in worker processes on this machine, each of which imports TensorFlow once for many runs."""

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

from dlth_tf.console import outliving_readers
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.status import SweepStatus
from dlth_tf.sweeps.worker import DIED, STOPPED, Outcome, run_one, start_worker

GRACE = 12.0  # seconds that workers have to write a checkpoint when the sweep is stopped


class Worker:
    """A process that runs one configuration after another until it is closed.

    Args:
      threads: Number of threads, its share of the cores.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        self.process = context.Process(target=serve, args=(other_end, threads))
        self.process.start()
        other_end.close()

    def run(self, *arguments: Any) -> Outcome:
        """Calls `run_one(*arguments)` in the process."""
        try:
            self._connection.send(arguments)
            return self._connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return Outcome(DIED, f"its process died ({_reason(self.process.exitcode)})")

    def close(self) -> None:
        """Ends the process after its current run."""
        self._connection.close()
        self.process.join()


def _reason(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "SIGKILL: by hand, or by the kernel because memory ran out, which dmesg shows"
    return f"exit code {exitcode}" if exitcode is None or exitcode >= 0 else signal.Signals(-exitcode).name


def serve(connection: Connection, threads: int) -> None:
    """Runs in the worker process: receives arguments of `run_one`, and sends outcomes."""
    # Ctrl-C reaches the whole process group; the sweep decides how its workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    start_worker(threads)
    with outliving_readers():  # what a network of the user's own prints must not end its run
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
      parallel: Number of concurrent runs.
      max_retries: How often a run is restarted after its process died.
      limit: Seconds after which a run is stopped.
    """

    def __init__(self, parallel: int, max_retries: int = 0, limit: float | None = None) -> None:
        self.parallel = parallel
        self.max_retries = max_retries
        self.limit = limit
        self._stopping = threading.Event()
        self._workers = set[Worker]()

    def run(self, todo: Sequence[RunConfig], status: SweepStatus) -> None:
        """Runs every configuration; a run that fails does not stop the others.

        Raises:
          BaseException: If a thread of this process failed; the others have done all that it left.
        """
        pending: queue.SimpleQueue[RunConfig] = queue.SimpleQueue()
        for config in todo:
            pending.put(config)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                self._work(pending, status)
            except BaseException as error:  # which would end the thread unseen, and its runs with it
                errors.append(error)

        # Threads of this process only wait: each owns one worker process, which it replaces if it dies.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self.parallel, len(todo)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # with a timeout, so that signals are handled on every system
        if errors:
            raise errors[0]

    def stop(self) -> None:
        """Lets every run write a checkpoint, then ends the workers; a KeyboardInterrupt ends them at once."""
        self._stopping.set()
        workers = list(self._workers)
        for worker in workers:
            worker.process.terminate()
        end = time.monotonic() + GRACE
        try:
            for worker in workers:
                worker.process.join(max(0.0, end - time.monotonic()))
        finally:  # at once where a second signal interrupts the wait
            for worker in workers:
                worker.process.kill()

    def _work(self, pending: queue.SimpleQueue[RunConfig], status: SweepStatus) -> None:
        worker = self._new_worker()
        try:
            while not self._stopping.is_set():
                try:
                    config = pending.get_nowait()
                except queue.Empty:
                    break
                began = time.perf_counter()
                for attempt in range(1 + self.max_retries):
                    outcome = worker.run(config, status.progress(config), self.limit)
                    if outcome.state == DIED and not self._stopping.is_set():
                        self._workers.discard(worker)
                        worker = self._new_worker()
                    if outcome.state not in (DIED, STOPPED) or self._stopping.is_set() or attempt == self.max_retries:
                        break
                if not self._stopping.is_set():
                    status.finished(config, outcome, time.perf_counter() - began)
        finally:
            self._workers.discard(worker)
            worker.close()

    def _new_worker(self) -> Worker:
        worker = Worker((os.cpu_count() or 1) // self.parallel)
        self._workers.add(worker)
        return worker
