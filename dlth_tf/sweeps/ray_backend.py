"""A sweep on a Ray cluster: one task per run. All results and all state are in the sweep directory, which every node must see."""

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


def task(where: tuple[str, list[str]], threads: int, config: RunConfig, progress: Path, limit: float | None) -> Outcome:
    """`run_one` in a Ray worker, which keeps TensorFlow loaded for the next.

    Args:
      where: working directory and module search path of the command.
      threads: the task's share of the cores.
      config: of the run.
      progress: see `run_one`.
      limit: see `run_one`.
    """
    folder, path = where
    os.chdir(folder)
    sys.path += [entry for entry in path if entry not in sys.path]
    start_worker(threads)
    return run_one(config, progress, limit, (signal.SIGTERM, signal.SIGINT))


class RayBackend:
    """Runs a sweep on a Ray cluster.

    Args:
      address: "local" starts a cluster on this machine for as long as the sweep runs; "auto" or HOST:PORT use one that runs.
      cpus: that a run takes.
      gpus: that a run takes; fractions let runs share one.
      max_retries: how often a run is begun again whose process or node died.
      limit: seconds for one run.

    Raises:
      BadInput: Ray is not installed, or there is no cluster at that address.
    """

    def __init__(
        self, address: str, cpus: float, gpus: float, max_retries: int = 0, limit: float | None = None
    ) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a run that takes no GPU may still see them
        try:
            import ray
        except ImportError:
            raise BadInput(
                "backend", "ray", "needs Ray, which is not installed: pip install 'dlth-tf[sweep]'"
            ) from None
        self._ray, self.max_retries, self.limit = ray, max_retries, limit
        self.cpus, self.gpus = cpus, gpus
        self._connect(address)
        # A worker that dies is Ray's to replace; what it ran is sent again from here, where the attempts are counted.
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(task)
        self._refs: dict[Any, RunConfig] = {}

    def _connect(self, address: str) -> None:
        self._mine = not self._ray.is_initialized()
        if not self._mine:
            return
        here: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BadInput("ray_address", address, f"no Ray cluster can be used there ({reason})") from None

    def run(self, todo: Sequence[RunConfig], board: SweepStatus) -> None:
        """Runs everything; a run that fails does not stop the others."""
        began: dict[str, float] = {}
        attempts: dict[str, int] = {}
        for config in todo:
            self._submit(config, board)
        while self._refs:
            ready, _ = self._ray.wait(list(self._refs), timeout=1)
            for ref in ready:
                config = self._refs.pop(ref)
                outcome = self._outcome(ref)
                attempts[config.run_dir] = attempts.get(config.run_dir, 0) + 1
                if outcome.state in (DIED, STOPPED) and attempts[config.run_dir] <= self.max_retries:
                    self._submit(config, board)
                    continue
                if outcome.state == STOPPED:
                    outcome = Outcome(DIED, outcome.said)
                board.finished(config, outcome, time.perf_counter() - began.get(config.run_dir, board.began))
            for name in board.running():
                began.setdefault(str(board.folder / name), time.perf_counter())

    def _submit(self, config: RunConfig, board: SweepStatus) -> None:
        where = os.getcwd(), [os.path.abspath(entry) for entry in sys.path]
        ref = self._task.remote(where, round(self.cpus), config, board.progress(config), self.limit)
        self._refs[ref] = config

    def _outcome(self, ref: Any) -> Outcome:
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return Outcome(
                DIED, f"its process died ({type(error).__name__}: killed, out of memory, or its node was lost)"
            )

    def stop(self) -> None:
        """Lets every run write a checkpoint, and gives the cluster back."""
        for ref in self._refs:
            self._ray.cancel(ref)
        self._ray.wait(list(self._refs), num_returns=len(self._refs), timeout=12) if self._refs else None
        self.close()

    def close(self) -> None:
        """Disconnects; a cluster that was started here ends."""
        if self._mine:
            self._ray.shutdown()
