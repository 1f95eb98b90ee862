"""Handling of real signals in small processes without TensorFlow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dlth_tf import stopping

ROOT = Path(__file__).resolve().parents[1]
START = """
import os, signal, sys, threading, time
from dlth_tf import stopping
def ask(name): os.kill(os.getpid(), signal.Signals[name])
"""


def ended(code: str, timeout: float = 60) -> tuple[int, str, str]:
    """Returns exit code, stdout and the last line of stderr of a script."""
    done = subprocess.run(
        [sys.executable, "-c", START + code], cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )
    return done.returncode, done.stdout.strip(), (done.stderr.splitlines() or [""])[-1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_outside_of_training_a_signal_raises_at_once(name):
    code = f"""
try:
    with stopping.stop_on_signals():
        ask("{name}")
        print("went on")
except stopping.Stopped as stopped:
    print(stopped)
"""
    assert ended(code) == (0, f"stopped by {name}", "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_inside_of_training_a_signal_is_only_noted(name):
    code = f"""
with stopping.stop_on_signals(), stopping.waiting_for_a_checkpoint():
    print(stopping.requested())
    ask("{name}")
    while not stopping.requested(): time.sleep(.01)
    print("noted")
"""
    assert ended(code) == (0, "False\nnoted", "")


def test_a_signal_is_noted_while_the_main_thread_runs_no_python():
    """The main thread waits in C, and is woken by a thread that polls the request."""
    code = """
with stopping.stop_on_signals(), stopping.waiting_for_a_checkpoint():
    reading, writing = os.pipe()
    def wake():
        ask("SIGTERM")
        while not stopping.requested(): time.sleep(.01)
        os.write(writing, b"x")
    threading.Thread(target=wake).start()
    print(os.read(reading, 1))
"""
    assert ended(code) == (0, "b'x'", "")


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_the_process_at_once(second):
    code = f"""
with stopping.stop_on_signals(), stopping.waiting_for_a_checkpoint():
    ask("SIGTERM")
    while not stopping.requested(): time.sleep(.01)
    time.sleep(stopping.TOGETHER + .1)
    ask("{second}")
    time.sleep(60)
"""
    assert ended(code)[::2] == (75, "stopped without another checkpoint because a second signal arrived: " + AGAIN)


@pytest.mark.fast_cases("SIGTERM")
@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_two_signals_together_are_one_request(second):
    """`timeout` signals its command and then the command's process group, so that one process gets two signals."""
    code = f"""
with stopping.stop_on_signals(), stopping.waiting_for_a_checkpoint():
    for name in ("SIGTERM", "{second}"):
        ask(name)
        while not stopping.requested(): time.sleep(.01)
    time.sleep(1)
    print("goes on to its checkpoint")
"""
    assert ended(code) == (0, "goes on to its checkpoint", "")


def test_where_another_process_decides_no_second_signal_ends_it():
    code = """
with stopping.stop_on_signals(second_ends=False), stopping.waiting_for_a_checkpoint():
    for _ in range(3):
        ask("SIGTERM")
        time.sleep(stopping.TOGETHER + .1)
    print(stopping.requested())
"""
    assert ended(code) == (0, "True", "")


def test_what_only_waits_is_interrupted_once_by_signals_together_and_again_by_a_later_one():
    code = """
with stopping.interrupted_by_signals():
    for pause in (0, stopping.TOGETHER + .1):
        time.sleep(pause)
        try:
            ask("SIGTERM")
            print("went on")
        except KeyboardInterrupt:
            ask("SIGINT")
            print("interrupted")
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    assert ended("signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code) == (
        0,
        "interrupted\ninterrupted\nTrue True",
        "",
    )


def test_what_ignored_ctrl_c_before_goes_on_ignoring_it():
    code = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
with stopping.interrupted_by_signals():
    ask("SIGINT")
    print("went on")
"""
    assert ended(code) == (0, "went on", "")


AGAIN = "run the same command again to resume from the last one"


def test_patience_ends_the_process_in_the_middle_of_a_step():
    code = """
stopping.PATIENCE = .2
with stopping.stop_on_signals(), stopping.waiting_for_a_checkpoint():
    ask("SIGTERM")
    time.sleep(60)
"""
    assert ended(code)[::2] == (
        75,
        "stopped without another checkpoint because the training step takes too long: " + AGAIN,
    )


def test_a_process_that_stopped_in_time_is_not_affected_afterwards():
    """Neither the timeout nor the request of one run affects the next one in the process."""
    code = """
stopping.PATIENCE = .3
for _ in range(2):
    with stopping.stop_on_signals(), stopping.waiting_for_a_checkpoint():
        print(stopping.requested())
        ask("SIGTERM")
        while not stopping.requested(): time.sleep(.01)
time.sleep(1)
print(stopping.requested())
"""
    assert ended(code) == (0, "False\nFalse\nFalse", "")


def test_it_is_not_mistaken_for_a_failure_of_the_interrupted_code():
    assert issubclass(stopping.Stopped, BaseException) and not issubclass(stopping.Stopped, Exception)


def test_other_signals_and_the_handlers_from_before_are_left_alone():
    seen: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: seen.append(number))
        for number in (signal.SIGUSR1, signal.SIGTERM)
    }
    try:
        with stopping.stop_on_signals():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert seen == [signal.SIGUSR1] and not stopping.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGUSR1, signal.SIGTERM] and not stopping.requested()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
