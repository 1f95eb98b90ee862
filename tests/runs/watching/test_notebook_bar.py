"""The progress bar of a notebook: one output of a cell, updated in place; and plain lines from `!` and in logs."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import IPython.display
import nbclient
import nbformat
import pytest
from rich.console import Console

from dlth_tf import console
from dlth_tf.console import can_be_rewritten, standard_output
from dlth_tf.methods import LearningRate, Phase
from dlth_tf.runs.watching import notebook_bar
from dlth_tf.runs.watching.notebook_bar import NotebookBar
from dlth_tf.runs.watching.progress import ProgressLine
from tests.runs.tiny import ROOT, environment, tiny_flags
from tests.runs.watching.test_progress import LOGS

PHASE = Phase("transform", 12, 64, LearningRate((0.001,)))


class Cell:
    """The output of a cell: its first content and every update of it."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def display(self, content: dict[str, str], raw: bool, display_id: bool) -> Cell:
        assert raw and display_id and not self.states
        self.update(content, raw)
        return self

    def update(self, content: dict[str, str], raw: bool) -> None:
        assert raw and list(content) == ["text/plain"]
        self.states.append(content["text/plain"])


def states(monkeypatch: pytest.MonkeyPatch, seconds: float, verbosity: int = 1) -> tuple[list[str], str]:
    """The states of the bar of two epochs, with a least time between two updates, and the printed lines."""
    cell = Cell()
    monkeypatch.setattr(IPython.display, "display", cell.display)
    monkeypatch.setattr(notebook_bar, "SECONDS", seconds)
    printed = Console(file=io.StringIO(), force_jupyter=True, force_terminal=False, width=115)
    line = ProgressLine(PHASE, 2, verbosity, printed)
    line.set_params({"epochs": 2, "steps": 8})
    line.on_train_begin()
    for epoch in range(2):
        for batch in (3, 7) if epoch == 0 else (3,):
            line.on_train_batch_end(batch)
        line.on_epoch_end(epoch, dict(LOGS))
    line.close()
    return cell.states, printed.file.getvalue()


def test_the_bar_of_a_notebook_is_one_output_that_grows(monkeypatch):
    found, printed = states(monkeypatch, seconds=0)
    assert [text.split("  ")[2] for text in found] == [f"{done}/12" for done in (0, 4, 8, 8, 12, 12, 12)]
    assert found[0] == f"transform  {'─' * 20}  0/12  epoch 1/2" and printed == ""
    assert found[-1].startswith(f"transform  {'━' * 20}  12/12  epoch 2/2  loss 1.2500  val 50.00%")
    assert " left" in found[2] and " left" not in found[-1] and not any("\n" in text or "\r" in text for text in found)


def test_a_bar_is_not_updated_more_often_than_a_browser_can_show(monkeypatch):
    found, _ = states(monkeypatch, seconds=1000)
    assert [text.split("  ")[2] for text in found] == ["0/12", "4/12", "8/12", "12/12", "12/12"]


def test_lines_instead_of_the_bar_where_asked_for(monkeypatch):
    monkeypatch.setattr(Console, "print", lambda self, text, **_: self.file.write(f"{text}\n"))  # else to the browser
    found, printed = states(monkeypatch, 0, verbosity=2)
    assert not found and len(printed.splitlines()) == 2


def test_a_resumed_phase_counts_its_own_steps_for_the_time_left():
    bar = NotebookBar()
    task = bar.add_task("train", total=100, note="")
    bar.update(task, completed=80)
    bar.update(task, completed=90)
    assert bar.line(20.0).endswith("  90/100  about 20 s left")


class Stream(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_is_rewritten_and_not_what_a_notebook_starts(monkeypatch):
    monkeypatch.delenv(console.OF_A_NOTEBOOK, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    for stream, expected in ((Stream(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stdout", stream)
        assert (can_be_rewritten(stream), standard_output().is_terminal) == (expected, expected)
    monkeypatch.setenv(console.OF_A_NOTEBOOK, "1")
    assert not can_be_rewritten(Stream())


@pytest.mark.slow
def test_a_log_has_no_carriage_return_and_no_control_code(tmp_path):
    words = [sys.executable, "-m", "dlth_tf.train", *tiny_flags("rst", tmp_path / "run", verbosity=1)]
    env = environment(FORCE_COLOR="1", TTY_COMPATIBLE="1")
    ended = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, timeout=200, check=True)
    assert not {b"\r", b"\x1b", b"\b"} & {bytes([byte]) for byte in ended.stdout + ended.stderr}
    starts = (b"transform: ", b"the transformation ended before ", b"finetune: ", b"finetune: ", b"rst: ")
    lines = ended.stdout.splitlines()
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 5


CELLS = (
    """
import dlth_tf as dlth
flags = dict(word[2:].split("=", 1) for word in {flags!r})
""",
    """
result = dlth.run(dlth.RunConfig(
    method="scratch", dataset="digits", model="lenet_300_100", sparsity=.9, epochs=2, data_dir=flags["data_dir"],
    run_dir={run_dir!r} + "/a",
))
""",
    "!{python} -m dlth_tf.train --run_dir={run_dir}/b --flagfile={run_dir}/tiny.flags",
)


@pytest.mark.slow
def test_in_a_real_notebook_the_bar_is_one_output_and_a_command_prints_lines(tmp_path: Path, monkeypatch):
    flags = [word for word in tiny_flags("scratch", "", verbosity=1) if not word.startswith("--run_dir")]
    (tmp_path / "tiny.flags").write_text("\n".join(flags))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    facts: dict[str, Any] = {"flags": flags, "run_dir": str(tmp_path), "python": sys.executable}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text.format(**facts)) for text in CELLS])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    _, ran, commanded = (cell.outputs for cell in notebook.cells)
    (bar,) = (output for output in ran if output.output_type == "display_data")
    assert "━" * 20 in bar.data["text/plain"] and "epoch 2/2" in bar.data["text/plain"]
    text = "".join(output.text for output in commanded)
    assert text.count("epoch 1/2") == 1 and "\x1b" not in text and "\r" not in text.replace("\r\n", "\n")
