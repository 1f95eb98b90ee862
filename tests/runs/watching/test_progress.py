"""The console output of a run: a bar on a terminal, lines elsewhere, nothing at verbosity 0."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest
from rich.console import Console

from dlth_tf.methods import LearningRate, Phase
from dlth_tf.runs.watching import progress
from dlth_tf.runs.watching.progress import ProgressLine
from tests.runs.tiny import ROOT, environment, tiny_flags

LOGS = {"loss": 1.25, "val_accuracy": 0.5, "test_accuracy": 0.25, "penalty": 0.6, "seconds": 2.0}


def said(verbosity: int, terminal: bool, logs: dict[str, float] = LOGS, width: int = 160, **console: Any) -> str:
    """The output of a phase of 12 steps in two epochs of 8 steps."""
    console = {"color_system": None, **console}
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, record=True, **console)
    line = ProgressLine(Phase("transform", 12, 64, LearningRate((0.001,))), 2, verbosity, console)
    line.set_params({"epochs": 2, "steps": 8})
    line.on_train_begin()
    for epoch in range(2):
        for batch in (3, 7) if epoch == 0 else (3,):  # steps_per_execution=4
            line.on_train_batch_end(batch)
        line.on_epoch_end(epoch, dict(logs))
    line.on_train_end()
    line.close()
    return console.file.getvalue()


def shown(text: str) -> list[str]:
    """Every state of the bar, without control sequences."""
    return [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)) if line.strip()]


def test_a_terminal_shows_a_bar_with_phase_epoch_accuracy_and_penalty():
    last = [line for line in said(1, terminal=True).splitlines() if "transform" in line][-1]
    for part in ("12/12", "epoch 2/2", "loss 1.2500", "val 50.00%", "test 25.00%", "penalty 0.6", "0:00:00"):
        assert part in last


@pytest.mark.parametrize(("width", "parts"), [(40, 1), (60, 3), (80, 3), (100, 4), (200, 5)])
def test_the_bar_is_one_line_of_any_width_with_the_time_left_and_what_else_there_is_room_for(width, parts):
    states = shown(said(1, terminal=True, width=width))
    assert all(len(state) <= width and state.startswith("transform ") and "…" not in state for state in states)
    last = states[-1].rstrip()
    assert "12/12" in last and re.search(r"\d:\d\d:\d\d$", last) and ("━" in last) == (width >= 72)
    all_parts = ["epoch 2/2", "loss 1.2500", "val 50.00%", "test 25.00%", "penalty 0.6"]
    assert [part for part in all_parts if part in last] == all_parts[:parts]


def test_a_note_that_is_too_long_would_be_seen(monkeypatch):
    monkeypatch.setattr(progress, "first_that_fit", lambda parts, room: "  ".join(parts))
    assert any("…" in state for state in shown(said(1, terminal=True, width=40)))


def test_colours_are_for_terminals_that_may_have_them(monkeypatch):
    colour = re.compile(r"\x1b\[[0-9;]*m")
    assert colour.search(said(1, terminal=True, color_system="truecolor"))
    assert not colour.search(
        said(1, terminal=False, color_system="auto") + said(2, terminal=False, color_system="auto")
    )
    monkeypatch.setenv("NO_COLOR", "1")
    found = re.findall(
        r"\x1b\[([0-9;]*)m", said(1, terminal=True, color_system="auto", _environ={"NO_COLOR": "1", "TERM": "xterm"})
    )
    assert not [code for code in found if re.search(r"\b(3|4|9|10)\d\b", code)]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines():
    assert said(1, terminal=True, _environ={"TERM": "dumb"}) == said(2, terminal=False)


def test_a_phase_without_penalty_shows_none():
    assert "penalty" not in said(1, True, {**LOGS, "penalty": 0.0}) + said(2, False, {**LOGS, "penalty": 0.0})


@pytest.mark.parametrize(("verbosity", "terminal"), [(1, False), (2, False), (2, True)])
def test_lines_elsewhere_and_where_asked_for(verbosity, terminal):
    assert said(verbosity, terminal).splitlines() == [
        "transform: epoch 1/2  loss 1.2500  val 50.00%  test 25.00%  penalty 0.6  2.0 s, about 0:00:02 left",
        "transform: epoch 2/2  loss 1.2500  val 50.00%  test 25.00%  penalty 0.6  2.0 s",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_verbosity_0_is_silent(terminal):
    assert said(0, terminal) == ""


HIDDEN = ("TF_CPP_MIN_LOG_LEVEL", "COLUMNS", "LINES")  # set by the environment of the tests


def on_a_terminal(columns: int, *words: str, **variables: str) -> str:
    """The output and the errors of a command on a pseudo terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in environment(TERM="xterm-256color", **variables).items() if name not in HIDDEN}
    with subprocess.Popen(words, cwd=ROOT, env=env, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        found = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(master, 65536):
                found += part
    os.close(master)
    assert process.returncode == 0, found.decode()
    return found.decode()


@pytest.mark.slow
def test_a_real_terminal_shows_nothing_but_our_own_lines_none_of_them_too_wide_and_no_colour_if_asked(tmp_path):
    flags = tiny_flags("dense", tmp_path / "run", verbosity=1)
    text = on_a_terminal(40, sys.executable, "-m", "dlth_tf.train", *flags, NO_COLOR="1")
    states = shown(text)
    assert states[-2].startswith("dense: test accuracy ") or states[-1].startswith("dense: test accuracy ")
    first, *moving = [state for state in states if not state.startswith("dense: ")]
    assert first == "loading TensorFlow ..." and text.startswith(first)  # before anything that takes time
    assert moving and all(state.startswith("train ") and len(state) <= 40 for state in moving), moving
    assert not re.search(r"\x1b\[[0-9;]*[349]\d[0-9;]*m", text)


def test_an_epoch_that_is_not_evaluated_shows_the_rest():
    text = said(2, terminal=False, logs={"loss": 1.25, "penalty": 0.6, "seconds": 2.0})
    assert "epoch 1/2  loss 1.2500  penalty 0.6" in text and "val" not in text and "test" not in text
