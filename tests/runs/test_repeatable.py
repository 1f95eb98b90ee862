"""The weights depend neither on the process, nor on steps_per_execution, nor on an earlier attempt.

The first two on rst, which has every kind of phase.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dlth_tf import onednn
from dlth_tf.runs import runner
from tests.runs import tiny
from tests.runs.tiny import train


def test_a_second_process_gives_the_same_digest(tmp_path, tiny_runs):
    command = [sys.executable, "-m", "dlth_tf.train", *tiny.tiny_flags("rst", "there", verbosity=1)]
    undecided = {name: value for name, value in tiny.environment().items() if name != onednn.VARIABLE}
    ended = subprocess.run(command, cwd=tmp_path, env=undecided, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1].startswith("rst: test accuracy ") and ended.stdout.splitlines()[-1].endswith(
        "there/result.json"
    )
    assert os.listdir(tmp_path) == ["there"]
    found = json.loads((tmp_path / "there" / "result.json").read_text())
    assert found["weights_sha256"] == tiny_runs["rst"].result["weights_sha256"]
    assert found["onednn"] is True


def test_steps_per_execution_changes_nothing(tmp_path, tiny_runs):
    other = train(tiny.tiny("rst", tmp_path / "other", steps_per_execution=1))
    assert other.config.steps_per_execution != tiny_runs["rst"].config.steps_per_execution
    assert other.result["weights_sha256"] == tiny_runs["rst"].result["weights_sha256"]
    assert other.history["step"].equals(tiny_runs["rst"].history["step"])


@pytest.mark.slow
def test_what_a_run_left_unfinished_the_same_command_finishes_with_the_same_digest(tmp_path, monkeypatch, tiny_runs):
    def full(*arguments):
        raise OSError("no space left on device")

    config = tiny.tiny("scratch", tmp_path / "half")
    with monkeypatch.context() as patch:
        patch.setattr(runner, "write_history", full)
        with pytest.raises(OSError, match="no space"):
            runner.run(config)
    assert set(os.listdir(tmp_path / "half")) == {".lock", "config.json"}
    assert runner.run(config)["weights_sha256"] == tiny_runs["scratch"].result["weights_sha256"]
