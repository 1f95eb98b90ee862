"""The status of a sweep: a table of running runs on a terminal, lines elsewhere, and failures.json."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from dlth_tf.analysis.planned_runs import missing_runs
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps.plan import write_plan
from dlth_tf.sweeps.status import SweepStatus
from dlth_tf.sweeps.worker import DIED, DONE, FAILED, STOPPED, Outcome
from tests.runs.tiny import TINY


def grid(folder: Path, runs: int) -> list[RunConfig]:
    shared = {name: value for name, value in TINY.items() if name != "verbosity"}
    return [
        RunConfig(**shared, method="rst", seed=seed, run_dir=str(folder / f"rst-0.9-s{seed}")) for seed in range(runs)
    ]


def shown(status: SweepStatus, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(status.table())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def status_of(
    folder: Path, runs: int = 3, complete: int = 0, terminal: bool = False
) -> tuple[SweepStatus, list[RunConfig], io.StringIO]:
    out, found = io.StringIO(), grid(folder, runs)
    return (
        SweepStatus(
            str(folder), found, found[complete:], Console(file=out, force_terminal=terminal, width=100, highlight=False)
        ),
        found,
        out,
    )


def test_the_table_tells_what_runs_and_counts_the_rest(tmp_path):
    status, runs, _ = status_of(tmp_path, runs=5, complete=1)
    assert shown(status) == ["1 done, 0 failed, 0 running, 4 pending"]
    status.finished(runs[1], Outcome(DONE, "test 90.00%"), 3.0)
    status.finished(runs[2], Outcome(FAILED, "RuntimeError: mine"), 3.0)
    path = status.progress(runs[3])
    path.parent.mkdir()
    path.write_text(json.dumps({"phase": "transform", "epoch": 4, "val_accuracy": 0.5, "test_accuracy": 0.25}))
    head, row, counts = shown(status)
    assert head.split() == ["running", "phase", "epoch", "val", "test"]
    assert row.split() == ["rst-0.9-s3", "transform", "4", "50.00%", "25.00%"]
    assert counts == "2 done, 1 failed, 1 running, 1 pending"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_the_terminal(width, tmp_path):
    status, runs, _ = status_of(tmp_path)
    path = status.progress(runs[0])
    path.parent.mkdir()
    path.write_text(json.dumps({"phase": "transform", "epoch": 4, "val_accuracy": 0.5, "test_accuracy": 0.25}))
    assert max(map(len, shown(status, width))) <= width


def test_a_file_that_is_half_written_is_not_shown(tmp_path):
    status, runs, _ = status_of(tmp_path)
    path = status.progress(runs[0])
    path.parent.mkdir()
    path.write_text('{"phase": "tra')
    assert status.running() == {}


@pytest.mark.parametrize("terminal", [False, True])
def test_every_run_that_ends_is_a_line(terminal, tmp_path):
    status, runs, out = status_of(tmp_path, terminal=terminal)
    with status.shown():
        status.finished(runs[0], Outcome(DONE, "test 90.00%"), 3.0)
        status.finished(runs[1], Outcome(DIED, "its process died"), 2.0)
    said = out.getvalue()
    assert "[1/3] rst          0.9   seed 0  test 90.00%  3.0 s, about" in said
    assert "FAILED" in said and ("\x1b[" in said) == terminal


def test_failures_are_kept_for_the_report_until_the_next_try(tmp_path):
    status, runs, _ = status_of(tmp_path)
    status.finished(runs[0], Outcome(STOPPED, "stopped"), 1.0)
    assert not (tmp_path / "failures.json").exists()
    status.finished(runs[1], Outcome(FAILED, "RuntimeError: mine", "Traceback: here"), 1.0)
    assert json.loads((tmp_path / "failures.json").read_text()) == {"rst-0.9-s1": "RuntimeError: mine"}
    status_of(tmp_path)
    assert not (tmp_path / "failures.json").exists()


def test_failures_of_runs_that_are_not_tried_again_are_kept(tmp_path):
    _, runs, _ = status_of(tmp_path)
    write_plan(runs, str(tmp_path))
    for config in runs[:2]:
        Path(config.run_dir).mkdir()
    status = SweepStatus(str(tmp_path), runs, runs)
    for config in runs:
        status.finished(config, Outcome(FAILED, f"RuntimeError: {config.seed}"), 1.0)
    again = SweepStatus(str(tmp_path), runs[1:], runs[1:2])  # of the runs of the plan, the second alone
    reasons = {"rst-0.9-s0": "RuntimeError: 0", "rst-0.9-s2": "RuntimeError: 2"}
    assert json.loads((tmp_path / "failures.json").read_text()) == reasons
    again.finished(runs[1], Outcome(FAILED, "OSError: other"), 1.0)
    assert json.loads((tmp_path / "failures.json").read_text()) == {**reasons, "rst-0.9-s1": "OSError: other"}
    assert [run.reason for run in missing_runs(tmp_path)] == ["RuntimeError: 0", "OSError: other", "RuntimeError: 2"]


def test_what_runs_had_in_common_is_summed_up(tmp_path):
    status, runs, _ = status_of(tmp_path)
    assert status.summary() == ""
    for config in runs[:2]:
        status.finished(
            config, Outcome(DONE, "test 1%", reused={"phase": "train", "images": 2000, "seconds": 3.0}), 1.0
        )
    assert status.summary() == "2 runs reused another run's dense training: 4,000 examples, 6 s"
