"""Trains one network with several worker processes on this machine (--strategy=multi_worker).

    python scripts/local_cluster.py 2 -- --flagfile=flags/digits/rst.flags

The output of the first worker is shown; of any other worker, only the end of its stderr, and only if it fails. If a
worker fails, the script stops the others and exits with the same code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

USAGE = 2  # exit code
PATIENCE = 15.0  # seconds for a checkpoint after workers have been asked to stop
GRACE = 3.0  # seconds for the other workers to report their errors after one has failed


def free_ports(count: int) -> list[int]:
    """Returns ports of this machine on which no process listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def start(count: int, words: Sequence[str]) -> list[tuple[subprocess.Popen[bytes], IO[bytes] | None]]:
    """Starts the workers, and returns each with the file of its stderr (None for the first, which writes to ours)."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    command = [sys.executable, "-m", "dlth_tf.train", "--strategy=multi_worker", *words]
    workers: list[tuple[subprocess.Popen[bytes], IO[bytes] | None]] = []
    for index in range(count):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        errors = tempfile.TemporaryFile() if index else None  # noqa: SIM115 (lives as long as the worker)
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        out = subprocess.DEVNULL if index else None
        # In a new session, so that Ctrl-C reaches only this script, which forwards it once: a second signal would stop
        # a worker without a checkpoint.
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=errors, start_new_session=True)
        workers.append((process, errors))
    return workers


def wait(processes: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int]:
    """Returns (exit code, number) of the first worker that fails, or (0, 0) when all are done."""
    while True:
        codes = [process.poll() for process in processes]
        for number, code in enumerate(codes):
            if code:
                return code, number
        if None not in codes:
            return 0, 0
        time.sleep(0.1)


def end(processes: Sequence[subprocess.Popen[bytes]], patience: float) -> None:
    """Waits up to `patience` seconds for the workers, and kills those that are still running."""
    until = time.monotonic() + patience
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pass_on(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    """Forwards a signal to the workers, which agree on a step to stop at."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def main(argv: Sequence[str]) -> int:
    """Runs the workers until they end, and returns the exit code."""
    if len(argv) < 2 or not argv[0].isdecimal() or int(argv[0]) < 1 or argv[1] != "--":
        print("usage: python scripts/local_cluster.py NUMBER_OF_WORKERS -- FLAGS_OF_TRAIN", file=sys.stderr)
        return USAGE
    workers = start(int(argv[0]), argv[2:])
    processes = [process for process, _ in workers]
    signals: list[int] = []

    def stop(number: int, frame: object) -> None:
        signals.append(number)
        pass_on(processes, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        code, number = wait(processes)
        end(processes, PATIENCE if signals else GRACE)
    finally:
        end(processes, 0.0)
    errors = workers[number][1]
    if code and errors is not None and not signals:
        errors.seek(0)
        print(f"worker {number} exited with {code}:\n{errors.read().decode(errors='replace')[-3000:]}", file=sys.stderr)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
