"""RayBackend: a sweep on a Ray cluster, one task per run.

Results and all state are files in the sweep directory, which every node must see.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.status import SweepStatus
from dlth_tf.sweeps.worker import DIED, STOPPED, Outcome, run_one, start_worker

GRACE = 12  # seconds that tasks have to write a checkpoint when the sweep is stopped


def task(where: tuple[str, list[str]], threads: int, config: RunConfig, progress: Path, limit: float | None) -> Outcome:
    """Calls `run_one` in a Ray worker, which keeps TensorFlow loaded for later tasks.

    Args:
      where: Working directory and module search path of the sweep command.
      threads: Number of threads, the task's share of the cores.
      config: Configuration of the run.
      progress: File for the progress of the run.
      limit: Seconds after which the run is stopped.
    """
    folder, path = where
    os.chdir(folder)
    sys.path += [entry for entry in path if entry not in sys.path]
    start_worker(threads)
    return run_one(config, progress, limit, (signal.SIGTERM, signal.SIGINT))


class RayBackend:
    """Runs a sweep on a Ray cluster.

    Args:
      address: "local" starts a cluster on this machine for the duration of the sweep; "auto" or HOST:PORT use a running
        one.
      cpus: Processor cores per run.
      gpus: GPUs per run; a fraction lets several runs share one.
      max_retries: How often a run is restarted after its process or node died.
      limit: Seconds after which a run is stopped.

    Raises:
      BadInput: If Ray is not installed, or there is no cluster at that address.
    """

    def __init__(
        self, address: str, cpus: float, gpus: float, max_retries: int = 0, limit: float | None = None
    ) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a run without a GPU share may still see GPUs
        try:
            import ray  # here, since Ray is an optional dependency
        except ImportError as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == "ray"
            observed = "is not installed" if missing else f"cannot be imported ({error})"
            raise BadInput("backend", "ray", f"requires Ray, which {observed}: pip install 'ray>=2.40,<3'") from None
        self._ray = ray
        self.cpus = cpus
        self.gpus = gpus
        self.max_retries = max_retries
        self.limit = limit
        self._connect(address)
        # Ray replaces a worker that dies; its run is submitted again from here, where the attempts are counted.
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(task)
        self._refs: dict[Any, RunConfig] = {}

    def _connect(self, address: str) -> None:
        self._owns_connection = not self._ray.is_initialized()
        if not self._owns_connection:
            return
        options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BadInput("ray_address", address, f"cannot connect to a Ray cluster ({reason})") from None

    def run(self, todo: Sequence[RunConfig], status: SweepStatus) -> None:
        """Runs every configuration; a run that fails does not stop the others."""
        began: dict[str, float] = {}
        attempts: dict[str, int] = {}
        for config in todo:
            self._submit(config, status)
        while self._refs:
            ready, _ = self._ray.wait(list(self._refs), timeout=1)
            for ref in ready:
                config = self._refs.pop(ref)
                outcome = self._outcome(ref)
                attempts[config.run_dir] = attempts.get(config.run_dir, 0) + 1
                if outcome.state in (DIED, STOPPED) and attempts[config.run_dir] <= self.max_retries:
                    self._submit(config, status)
                    continue
                if outcome.state == STOPPED:
                    outcome = Outcome(DIED, outcome.message)
                status.finished(config, outcome, time.perf_counter() - began.get(config.run_dir, status.began))
            for name in status.running():
                began.setdefault(str(status.folder / name), time.perf_counter())

    def _submit(self, config: RunConfig, status: SweepStatus) -> None:
        where = os.getcwd(), [os.path.abspath(entry) for entry in sys.path]
        ref = self._task.remote(where, round(self.cpus), config, status.progress(config), self.limit)
        self._refs[ref] = config

    def _outcome(self, ref: Any) -> Outcome:
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            return Outcome(DIED, f"its task ended without a result ({type(error).__name__}: {first})")

    def stop(self) -> None:
        """Lets every run write a checkpoint, then disconnects."""
        for ref in self._refs:
            self._ray.cancel(ref)
        if self._refs:
            self._ray.wait(list(self._refs), num_returns=len(self._refs), timeout=GRACE)
        self.close()

    def close(self) -> None:
        """Disconnects; a cluster that was started here ends."""
        if self._owns_connection:
            self._ray.shutdown()
