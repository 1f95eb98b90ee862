"""history.csv grows while a run trains, and is rewritten at most every few seconds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs.runner import run
from dlth_tf.runs.watching import history
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


@pytest.mark.slow
def test_epochs_that_are_not_evaluated_have_no_row_and_change_nothing_else(tmp_path):
    every, third = (
        run(tiny("gmp", tmp_path / str(count), epochs=9, evaluate_every=count, verbosity=0)) for count in (1, 3)
    )
    rows = [pd.read_csv(tmp_path / count / "history.csv").drop(columns="seconds") for count in "13"]
    assert rows[1]["epoch"].tolist() == [3, 5, 6, 7, 8, 9]
    kept = rows[0][rows[0]["epoch"].isin(rows[1]["epoch"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, rows[1], rtol=1e-6)
    for key in ("weights_sha256", "test", "val", "sparsity"):
        assert third[key] == every[key]
    assert third["phases"][0]["epochs"] == 9
    assert third["cost"]["training_macs_theoretical"] == every["cost"]["training_macs_theoretical"]


@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_an_interval_is_a_whole_number_of_epochs(value, tmp_path):
    with pytest.raises(BadInput, match=r"^evaluate_every="):
        tiny("gmp", tmp_path, evaluate_every=value)
