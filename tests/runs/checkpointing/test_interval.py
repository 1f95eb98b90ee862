"""When a checkpoint is due: after a number of steps or epochs of a phase, or after minutes."""

from __future__ import annotations

import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs.checkpointing import interval
from dlth_tf.runs.checkpointing.interval import CheckpointInterval


class Clock:
    """Takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_minutes_are_counted_from_the_last_checkpoint(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(interval, "time", clock)
    minutes = CheckpointInterval(5, "min")
    assert not minutes.due(10**9, 1) and not minutes.due_between_phases()
    clock.now += 299
    assert not minutes.due(1, 1)
    clock.now += 1
    assert minutes.due(0, 1) and minutes.due_between_phases()
    minutes.saved()
    assert not minutes.due(1, 1)
    assert not CheckpointInterval(1, "it").due_between_phases() and not CheckpointInterval(1, "ep").due_between_phases()


@pytest.mark.parametrize(("text", "parsed"), [("500it", (500, "it")), (" 1 ep ", (1, "ep")), ("5min", (5, "min"))])
def test_a_number_of_steps_epochs_or_minutes_is_parsed(text, parsed):
    found = CheckpointInterval.parse(text)
    assert (found.count, found.unit) == parsed


@pytest.mark.parametrize("text", ["5h", "0it", "it", "5", "-1ep", None])
def test_anything_else_is_refused(text):
    with pytest.raises(BadInput, match=f"^checkpoint_every={text}: must be a number of steps"):
        CheckpointInterval.parse(text)
