"""Several real processes train one network: the first one writes, all end alike, and a killed one costs only time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.strategies import workers, writes
from tests.runs.tiny import FILES, ROOT, TINY, environment, tiny_flags

SCRIPT = str(ROOT / "scripts" / "local_cluster.py")
TWO = {"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}}


def config(**changes):
    return RunConfig(**{**TINY, "method": "rst", "strategy": "multi_worker", **changes})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"cluster": {}}', json.dumps(TWO)]
    + [
        json.dumps({**TWO, "task": {"type": kind, "index": index}})
        for kind, index in (("worker", 2), ("worker", -1), ("chief", 0))
    ]
    + [json.dumps({"cluster": {**TWO["cluster"], "ps": ["127.0.0.1:3"]}, "task": {"type": "worker", "index": 0}})],
)
def test_a_cluster_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(BadInput) as refused:
        workers()
    start = "strategy=multi_worker: requires the environment variable TF_CONFIG, such as {"
    assert str(refused.value).startswith(start) and str(refused.value).endswith(f"; it is {text!r}")


def test_a_cluster_that_is_not_described_is_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(BadInput, match=r"such as \{.*\}; it is not set$"):
        workers()


def test_the_page_on_scale_shows_one_that_is_accepted(monkeypatch):
    page = (ROOT / "docs" / "scale.md").read_text()
    (text,) = re.findall(r"^export TF_CONFIG='(.*)'", page, re.M)
    monkeypatch.setenv("TF_CONFIG", text)
    assert workers() == (["one:2222", "two:2222"], 0)
    assert (
        "\npython scripts/local_cluster.py 2 -- --flagfile=flags/digits/rst.flags\n" in page and Path(SCRIPT).exists()
    )


@pytest.mark.parametrize("index", [0, 1])
def test_only_the_first_worker_writes(index, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({**TWO, "task": {"type": "worker", "index": index}}))
    assert workers() == (["127.0.0.1:1", "127.0.0.1:2"], index)
    assert writes("multi_worker") == (index == 0) and writes("one_device")


def test_workers_cannot_wait_for_each_others_shared_training():
    with pytest.raises(BadInput, match=r"^shared_dir=here: cannot be combined with --strategy=multi_worker"):
        config(shared_dir="here")


@pytest.mark.parametrize("words", [[], ["two", "--"], ["0", "--"], ["2"], ["2", "--verbosity=0"]])
def test_the_script_says_how_it_is_called(words):
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("usage: ") and "NUMBER_OF_WORKERS -- " in done.stderr


def flags(run_dir: Path) -> list[str]:
    return tiny_flags("rst", run_dir, checkpoint_every="2it", steps_per_execution=1)


def cluster(run_dir: Path) -> subprocess.Popen[str]:
    words = [sys.executable, SCRIPT, "2", "--", *flags(run_dir)]
    return subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def second_worker(process: subprocess.Popen[str]) -> int:
    """The process id of the worker whose TF_CONFIG has index 1."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if b'"index": 1' in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError("it has not started yet")


def wait_for_checkpoint(number: int, run_dir: Path, process: subprocess.Popen[str]) -> None:
    """Waits until the run has written `number` checkpoints, of which it keeps the last two."""
    until = time.monotonic() + 300
    while max((int(path.stem) for path in run_dir.glob("checkpoints/*.json")), default=0) < number:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)


def weights(run_dir: Path) -> dict[str, np.ndarray]:
    with np.load(run_dir / "weights.npz") as found:
        return dict(found)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker to kill through /proc")
def test_a_worker_is_killed_and_the_same_command_ends_as_if_it_had_not_been(tmp_path, tiny_runs):
    whole = cluster(tmp_path / "whole")
    said, complained = whole.communicate(timeout=300)
    assert (whole.returncode, said) == (0, ""), complained
    assert {path.name for path in (tmp_path / "whole").iterdir()} == FILES | {".lock"}

    killed = cluster(tmp_path / "killed")
    wait_for_checkpoint(3, tmp_path / "killed", killed)
    os.kill(second_worker(killed), 9)
    _, complained = killed.communicate(timeout=100)
    assert killed.returncode not in (0, 2, 75)
    assert not (tmp_path / "killed" / "result.json").exists() and list(
        (tmp_path / "killed" / "checkpoints").glob("*.json")
    )

    again = cluster(tmp_path / "killed")
    _, complained = again.communicate(timeout=300)
    assert again.returncode == 0, complained
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed")]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    assert not (tmp_path / "killed" / "checkpoints").exists()

    for name, weight in tiny_runs["rst"].weights.items():
        np.testing.assert_allclose(weights(tmp_path / "killed")[name], weight, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_signal_stops_all_workers_after_a_checkpoint(tmp_path):
    stopped = cluster(tmp_path / "run")
    wait_for_checkpoint(2, tmp_path / "run", stopped)
    stopped.terminate()
    _, complained = stopped.communicate(timeout=100)
    assert stopped.returncode == 75 and "stopped after a checkpoint in phase" in complained
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_the_first_worker_is_refused_ends_all(tmp_path):
    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run" / ".lock"):
        refused = cluster(tmp_path / "run")
        _, complained = refused.communicate(timeout=300)
    assert refused.returncode == 2 and "is in use by another process" in complained
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
