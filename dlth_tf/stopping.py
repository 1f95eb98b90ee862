"""SIGTERM and SIGINT: training stops after a checkpoint; a second signal, or ten seconds, stop the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

STOPPED = 75  # exit code: EX_TEMPFAIL of sysexits.h, run the same command again
PATIENCE = 8.0  # seconds from the first signal until the process ends even in the middle of a long training step

_requested = threading.Event()
_can_wait = threading.Event()


class Stopped(Exception):
    """The run was asked to stop, and can go on later."""


def requested() -> bool:
    """Whether a signal came."""
    return _requested.is_set()


@contextlib.contextmanager
def waiting_for_a_checkpoint() -> Iterator[None]:
    """Inside, somebody looks at `requested()` soon; outside, a signal raises `Stopped` at once."""
    _can_wait.set()
    try:
        yield
    finally:
        _can_wait.clear()


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Handles SIGTERM and SIGINT of this process while the block runs; only in the main thread.

    A thread reads the signals from a socket that the C handler writes to, so that they count while the main thread is inside
    TensorFlow, where Python's own handlers cannot run.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    _requested.clear()
    before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _raise_outside) for number in (signal.SIGTERM, signal.SIGINT)}
    watcher = threading.Thread(target=_watch, args=(reading,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        writing.close()  # ends the watcher
        watcher.join()
        reading.close()


def _raise_outside(number: int, frame: object) -> None:
    if not _can_wait.is_set():
        raise Stopped(f"stopped by {signal.Signals(number).name}")


def _watch(reading: socket.socket) -> None:
    count = 0
    while data := reading.recv(64):
        count += sum(byte in (signal.SIGTERM, signal.SIGINT) for byte in data)
        if count and not _requested.is_set():
            _requested.set()
            timer = threading.Timer(PATIENCE, os._exit, [STOPPED])
            timer.daemon = True
            timer.start()
        if count > 1:
            os._exit(STOPPED)
