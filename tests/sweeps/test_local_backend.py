"""A sweep in real processes that is stopped or killed while its runs train."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dlth_tf.commands import DONE
from dlth_tf.stopping import STOPPED
from dlth_tf.sweeps.local_backend import GRACE
from tests.runs.tiny import TINY, as_flags, environment

LONG = {"epochs": 800, "steps_per_execution": 1}
SHARED = {name: value for name, value in TINY.items() if name not in ("sparsity", "verbosity")}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def interrupts_are_heard() -> Iterator[None]:
    """Undoes that a shell lets its background jobs ignore SIGINT, which the processes of the tests would inherit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(folder: Path, **changes: object) -> subprocess.Popen[str]:
    words = as_flags(
        **{**SHARED, **LONG, **changes}, methods="scratch", sparsities=".9", seeds="0,1", sweep_dir=folder, parallel=2
    )
    command = [sys.executable, "-m", "dlth_tf.sweep", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    )


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def training(folder: Path) -> bool:
    """Returns whether both runs have completed their first epochs."""
    found = [json.loads(path.read_text()) for path in (folder / ".progress").glob("*.json")]
    return len(found) == 2 and all((facts["epoch"] or 0) > 2 for facts in found)


def digests(folder: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["weights_sha256"] for path in folder.glob("*/result.json")}


def ctrl_c(sweep: subprocess.Popen[str]) -> None:
    """Signals every process of the group, as a terminal does."""
    os.killpg(sweep.pid, signal.SIGINT)


def timeout(sweep: subprocess.Popen[str]) -> None:
    """Signals the command and then its group, as `timeout` does."""
    sweep.send_signal(signal.SIGTERM)
    os.killpg(sweep.pid, signal.SIGTERM)


def stopped_by(stop: Callable[[subprocess.Popen[str]], None], folder: Path) -> None:
    """Stops a sweep while its runs train, and checks that they have written checkpoints."""
    sweep = start(folder)
    until(lambda: training(folder))
    stop(sweep)
    out, err = sweep.communicate(timeout=60)
    said = f"dlth_tf.sweep: stopped with 0 of 2 runs complete in {folder}: run the same command again to resume"
    assert (sweep.returncode, err.splitlines()[-1]) == (STOPPED, said), "TensorFlow may warn of slow steps before"
    assert "stopping after the runs have written checkpoints" in out
    assert len(list(folder.glob("*/checkpoints/*.json"))) == 2 and not (folder / "failures.json").exists()


def test_ctrl_c_lets_the_runs_write_checkpoints_and_the_same_command_goes_on(tmp_path):
    stopped_by(ctrl_c, tmp_path / "sweep")
    again, whole = start(tmp_path / "sweep"), start(tmp_path / "whole")
    assert [process.wait(600) for process in (again, whole)] == [DONE, DONE]
    assert digests(tmp_path / "sweep") == digests(tmp_path / "whole") != {}


def test_so_do_signals_to_the_command_and_to_its_group(tmp_path):
    stopped_by(timeout, tmp_path / "sweep")


def test_a_second_ctrl_c_does_not_wait_for_checkpoints(tmp_path):
    sweep = start(tmp_path / "sweep")
    until(lambda: training(tmp_path / "sweep"))
    processes = psutil.Process(sweep.pid).children(recursive=True)
    workers = [process for process in processes if "spawn_main" in " ".join(process.cmdline())]
    assert len(workers) == 2
    for worker in workers:
        worker.suspend()  # as one in a step without end
    ctrl_c(sweep)
    time.sleep(1)
    ctrl_c(sweep)
    assert sweep.wait(GRACE / 2) == STOPPED
    assert "stopped at once with 0 of 2 runs complete" in sweep.stderr.read()
    psutil.wait_procs(workers, timeout=30)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]


def test_the_runs_of_a_killed_sweep_end_after_a_checkpoint(tmp_path):
    sweep = start(tmp_path / "sweep")
    until(lambda: training(tmp_path / "sweep"))
    workers = psutil.Process(sweep.pid).children(recursive=True)
    sweep.kill()
    psutil.wait_procs(workers, timeout=30)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    assert len(list((tmp_path / "sweep").glob("*/checkpoints/*.json"))) == 2


def test_a_run_over_its_time_is_stopped_and_counts_as_failed(tmp_path):
    sweep = start(tmp_path / "sweep", time_limit="5s", epochs=100_000)
    out, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 1 and out.splitlines()[-1] == f"0 of 2 runs complete in {tmp_path / 'sweep'}"
    assert err.count("its time limit was reached") == 2
    assert all(
        "time limit" in reason for reason in json.loads((tmp_path / "sweep" / "failures.json").read_text()).values()
    )
