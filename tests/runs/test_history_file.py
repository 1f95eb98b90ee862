"""history.csv grows while a run trains, and is rewritten at most every few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlth_tf.runs import history
from dlth_tf.runs.runner import run
from tests.runs.tiny import tiny


def lines_at_every_row(run_dir: Path) -> list[int]:
    """Trains a run of one and three epochs; returns the lines of history.csv when each row is added."""
    path = run_dir / "history.csv"
    seen = []
    run(
        tiny("rst", run_dir, epochs=3),
        on_row=lambda row: seen.append(len(path.read_text().splitlines()) if path.exists() else 0),
    )
    assert len(path.read_text().splitlines()) == 1 + 4
    return seen


@pytest.mark.fast_cases("every epoch")
@pytest.mark.parametrize(
    ("apart", "lines"), [(0.0, [0, 2, 3, 4]), (3600.0, [0, 2, 2, 2])], ids=["every epoch", "every phase"]
)
def test_the_rows_before_are_in_the_file_when_the_next_one_is_added(apart, lines, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "SECONDS_APART", apart)
    assert lines_at_every_row(tmp_path / "run") == lines
