"""One run of a sweep in a worker: its progress, its time limit, and a directory that another process still holds."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace

import filelock
import pytest

from dlth_tf.sweeps import worker
from dlth_tf.sweeps.worker import DONE, FAILED, run_one
from tests.runs.tiny import tiny


def test_a_run_tells_how_far_it_is_and_takes_its_file_away(tmp_path, monkeypatch, tiny_runs):
    told = []
    written = SimpleNamespace(write_json=lambda path, facts: told.append(facts) or path.write_text(json.dumps(facts)))
    monkeypatch.setattr(worker, "files", written)
    assert run_one(tiny("scratch", tmp_path / "run"), tmp_path / "progress" / "run.json").state == DONE
    assert [(facts["phase"], facts["epoch"]) for facts in told] == [
        ("starting", None),
        ("finetune", 1),
        ("finetune", 2),
    ]
    assert told[-1]["test_accuracy"] == tiny_runs["scratch"].result["test"]["accuracy_last"]
    assert not list((tmp_path / "progress").iterdir())


@pytest.mark.parametrize("error", [float("inf"), float("nan")])
def test_numbers_that_json_does_not_have_do_not_end_a_run(error, tmp_path):
    path = tmp_path / "progress" / "run.json"
    with worker.writing_progress(path) as on_row:
        on_row({"phase": "finetune", "epoch": 1, "val_mse": error, "test_mse": 0.5})
        facts = json.loads(path.read_text())
    assert (facts["epoch"], facts["val_mse"], facts["test_mse"]) == (1, None, 0.5)


@pytest.mark.slow
def test_a_time_limit_stops_a_run_after_a_checkpoint_and_the_run_goes_on(tmp_path):
    long = {"epochs": 4000, "steps_per_execution": 1, "run_dir": tmp_path / "run"}
    outcome = run_one(tiny("scratch", **long), limit=3.0)
    assert outcome.state == FAILED and "its time limit was reached (stopped" in outcome.message
    if "after a checkpoint" in outcome.message:  # and not before training began, on a very busy machine
        assert list((tmp_path / "run" / "checkpoints").glob("*.json"))


@pytest.mark.slow
def test_a_run_whose_directory_is_about_to_be_free_waits_for_it(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    lock = filelock.FileLock(tmp_path / "run" / ".lock", thread_local=False)
    lock.acquire()
    threading.Timer(2.0, lock.release).start()
    outcome = run_one(tiny("scratch", tmp_path / "run"))
    assert outcome.state == DONE, outcome
    monkeypatch.setattr(worker, "WAIT_FOR_LOCK", 0.0)
    (tmp_path / "other").mkdir()
    with filelock.FileLock(tmp_path / "other" / ".lock"):
        assert "is in use by another process" in run_one(tiny("scratch", tmp_path / "other")).message


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_limit_that_is_not_reached_does_nothing(seconds, tmp_path):
    with worker.time_limit(seconds) as reached:
        time.sleep(0.01)
    assert not reached.is_set()
    assert not [
        thread
        for thread in threading.enumerate()
        if isinstance(thread, threading.Timer) and thread.is_alive() and seconds is None
    ]
