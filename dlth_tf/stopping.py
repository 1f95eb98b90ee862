"""SIGTERM and SIGINT: training stops after a checkpoint; a second signal, or ten seconds, stop the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence

STOPPED = 75  # exit code: EX_TEMPFAIL of sysexits.h, run the same command again
PATIENCE = 8.0  # seconds from the first signal until the process ends even in the middle of a long training step

_requested = threading.Event()
_can_wait = threading.Event()


class Stopped(BaseException):
    """The run was asked to stop, and can go on later; no Exception, so that nobody takes it for a failure of what was interrupted."""


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
def stop_on_signals(signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> Iterator[None]:
    """Handles SIGTERM and SIGINT of this process, or one of them, while the block runs; only in the main thread.

    A thread reads the signals from a socket that the C handler writes to, so that they count while the main thread is inside
    TensorFlow, where Python's own handlers cannot run.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    _requested.clear()
    before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _raise_outside) for number in signals}
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
        _requested.clear()  # whoever trains next in this process was not asked to stop


def _raise_outside(number: int, frame: object) -> None:
    _requested.set()  # here too: where Python runs, this is before the next line, and the thread's turn may come later
    if not _can_wait.is_set():
        raise Stopped(f"stopped by {signal.Signals(number).name}")


def _watch(reading: socket.socket) -> None:
    count, timer = 0, threading.Timer(PATIENCE, _leave, ["a training step takes too long to wait for it"])
    timer.daemon = True
    while data := reading.recv(64):
        count += sum(byte in (signal.SIGTERM, signal.SIGINT) for byte in data)
        if count and timer.ident is None:
            _requested.set()
            timer.start()
        if count > 1:
            _leave("a second signal came")
    timer.cancel()


def _leave(why: str) -> None:
    """Ends the process at once; the main thread may be inside TensorFlow, so nothing of Python's own way to end is used."""
    line = f"stopped without another checkpoint, because {why}: run the same command again to go on from the last one\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode())
    os._exit(STOPPED)
