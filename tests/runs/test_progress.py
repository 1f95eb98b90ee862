"""What a run says: a bar on a terminal, lines elsewhere, nothing when asked to be silent."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dlth_tf.methods import LearningRate, Phase
from dlth_tf.runs.progress import ProgressLine

LOGS = {"loss": 1.25, "val_accuracy": 0.5, "test_accuracy": 0.25, "penalty": 0.6, "seconds": 2.0}


def said(verbosity: int, terminal: bool, logs: dict[str, float] = LOGS) -> str:
    """All that one phase of 12 steps in two epochs of 8 steps writes."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160, highlight=False, color_system=None, record=True)
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


def test_a_terminal_shows_a_bar_with_phase_epoch_accuracy_and_penalty():
    last = [line for line in said(1, terminal=True).splitlines() if "transform" in line][-1]
    for part in ("12/12", "steps", "epoch 2/2", "loss 1.2500", "val 50.00%", "test 25.00%", "penalty 0.6"):
        assert part in last


def test_a_phase_without_penalty_shows_none():
    assert "penalty" not in said(1, True, {**LOGS, "penalty": 0.0}) + said(2, False, {**LOGS, "penalty": 0.0})


@pytest.mark.parametrize(("verbosity", "terminal"), [(1, False), (2, False), (2, True)])
def test_lines_elsewhere_and_where_asked_for(verbosity, terminal):
    assert said(verbosity, terminal).splitlines() == [
        f"transform: epoch {epoch}/2  loss 1.2500  val 50.00%  test 25.00%  penalty 0.6  2.0 s" for epoch in (1, 2)
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_verbosity_0_is_silent(terminal):
    assert said(0, terminal) == ""
