"""Trains one network by several worker processes on this machine (--strategy=multi_worker).

    python scripts/local_cluster.py 2 -- --flagfile=flags/digits/rst.flags

What the first worker prints is shown; of another one only the end of what it wrote to stderr, and only if it fails. When a worker
fails, the others are ended, and its exit code is that of the script.
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
PATIENCE, GRACE = (
    15.0,
    3.0,
)  # seconds for a checkpoint when workers are asked to stop, and to say why when one of them fails


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def start(count: int, words: Sequence[str]) -> list[tuple[subprocess.Popen[bytes], IO[bytes] | None]]:
    """The workers, each with the file that its stderr goes to (the first's goes where ours does)."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    command, found = [sys.executable, "-m", "dlth_tf.train", "--strategy=multi_worker", *words], []
    for index in range(count):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        said = tempfile.TemporaryFile() if index else None  # noqa: SIM115 (lives as long as the worker)
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        out = subprocess.DEVNULL if index else None
        # A session of its own: Ctrl-C reaches this script alone, which hands it on once; a second signal would end a worker at once.
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=said, start_new_session=True)
        found.append((process, said))
    return found


def wait(processes: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int]:
    """(exit code, number) of the first worker that fails, or (0, 0) when all are done."""
    while True:
        codes = [process.poll() for process in processes]
        for number, code in enumerate(codes):
            if code:
                return code, number
        if None not in codes:
            return 0, 0
        time.sleep(0.1)


def end(processes: Sequence[subprocess.Popen[bytes]], patience: float) -> None:
    """Waits so long for the workers, and kills those that are left."""
    until = time.monotonic() + patience
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pass_on(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    """Hands a signal to the workers, who agree on a step to stop at."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def main(argv: Sequence[str]) -> int:
    """Runs the workers to their end."""
    if len(argv) < 2 or not argv[0].isdecimal() or int(argv[0]) < 1 or argv[1] != "--":
        print("usage: python scripts/local_cluster.py NUMBER_OF_WORKERS -- FLAGS_OF_TRAIN", file=sys.stderr)
        return USAGE
    workers = start(int(argv[0]), argv[2:])
    processes, asked = [process for process, _ in workers], []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        pass_on(processes, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        code, number = wait(processes)
        end(processes, PATIENCE if asked else GRACE)
    finally:
        end(processes, 0.0)
    said = workers[number][1]
    if code and said is not None and not asked:
        said.seek(0)
        print(f"worker {number} ended with {code}:\n{said.read().decode(errors='replace')[-3000:]}", file=sys.stderr)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
