"""Handling of SIGTERM and SIGINT: training stops after a checkpoint; a second signal or a timeout exits at once."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence

STOPPED = 75  # exit code: EX_TEMPFAIL of sysexits.h, run the same command again
TOGETHER = 0.5  # seconds: signals this close to the first are one, since `timeout` signals a process and its group
PATIENCE = 8.0  # seconds from the first signal to the end of the process, even in the middle of a long training step

_requested = threading.Event()
_can_wait = threading.Event()


class Stopped(BaseException):
    """Raised when a signal stops a run that can be resumed later.

    Not an Exception, so that no handler mistakes it for a failure of the interrupted code.
    """


def requested() -> bool:
    """Returns whether a signal has arrived."""
    return _requested.is_set()


@contextlib.contextmanager
def waiting_for_a_checkpoint() -> Iterator[None]:
    """Defers signals: inside the block, the caller polls `requested()`; outside, a signal raises `Stopped`."""
    _can_wait.set()
    try:
        yield
    finally:
        _can_wait.clear()


@contextlib.contextmanager
def stop_on_signals(
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT), second_ends: bool = True
) -> Iterator[None]:
    """Handles signals of this process while the block runs; only in the main thread.

    A thread reads the signals from a socket that the C handler writes to, so that they are noticed while the main
    thread is inside TensorFlow, where Python's handlers cannot run.

    Args:
      signals: Signals to handle, SIGTERM and SIGINT or one of them.
      second_ends: Whether a second signal ends the process at once; if not, it asks for the same as the first.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    _requested.clear()
    previous_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    previous = {number: signal.signal(number, _raise_outside) for number in signals}
    watcher = threading.Thread(target=_watch, args=(reading, second_ends), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        writing.close()  # ends the watcher
        watcher.join()
        reading.close()
        _requested.clear()  # the request does not concern the next run in this process


def _raise_outside(number: int, frame: object) -> None:
    _requested.set()  # in addition to the thread, which may run later than the next line of the main thread
    if not _can_wait.is_set():
        raise Stopped(f"stopped by {signal.Signals(number).name}")


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Lets SIGTERM and SIGINT raise KeyboardInterrupt while the block runs, one for those that arrive together."""
    last = -math.inf

    def interrupt(number: int, frame: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > TOGETHER:
            raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _watch(reading: socket.socket, second_ends: bool) -> None:
    first: float | None = None
    timer = threading.Timer(PATIENCE, _exit, ["the training step takes too long"])
    timer.daemon = True
    while data := reading.recv(64):
        if not {signal.SIGTERM, signal.SIGINT} & set(data):
            continue
        if first is None:
            first = time.monotonic()
            _requested.set()
            timer.start()
        elif second_ends and time.monotonic() - first > TOGETHER:
            _exit("a second signal arrived")
    timer.cancel()


def _exit(reason: str) -> None:
    """Ends the process without Python's finalization, because the main thread may be inside TensorFlow."""
    advice = "run the same command again to resume from the last one"
    with contextlib.suppress(OSError):
        os.write(2, f"stopped without another checkpoint because {reason}: {advice}\n".encode())
    os._exit(STOPPED)
