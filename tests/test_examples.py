"""The examples run, with the commands given in them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from dlth_tf import commands, train
from dlth_tf.methods import METHODS
from tests.runs.tiny import tiny
from tests.runs.tiny import train as train_tiny

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_network_and_data_of_ones_own_are_trained_and_pruned(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    source = (ROOT / "examples/own_model_and_data.py").read_text()
    comments = [line[2:] for line in source.splitlines() if line.startswith("# ")]
    words = shlex.split(" ".join(line.rstrip("\\") for line in comments[:4]))  # one command over four lines
    assert words[:3] == ["python", "-m", "dlth_tf.train"]
    assert commands.run_command("dlth_tf.train", train.main, [*words[3:], f"--run_dir={tmp_path / 'run'}"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["sparsity"]["per_tensor"] == {
        "conv1/kernel": 0.0,
        "conv2/kernel": pytest.approx(0.9, abs=1e-3),
        "fc/kernel": 0.0,
    }
    assert result["test"]["accuracy_last"] > 0.6, "chance is one third, with three classes"


def test_a_method_of_ones_own_is_one_line_in_the_registry(tmp_path, monkeypatch, tiny_runs):
    monkeypatch.syspath_prepend(str(ROOT))
    # The line that docs/extending.md adds to the registry.
    monkeypatch.setitem(METHODS._entries, "warm_up", "examples.own_method:METHOD")
    done = train_tiny(tiny("warm_up", tmp_path / "run"))
    assert [(phase["name"], phase["steps"]) for phase in done.result["phases"]] == [("warm_up", 4), ("finetune", 16)]
    assert done.result["sparsity"]["prunable"] == pytest.approx(0.9, abs=1e-3)
    assert done.result["test"]["accuracy_before_removal"] is not None
    scratch = tiny_runs["scratch"].weights  # keeps exactly the same positions
    assert all(((done.weights[name] != 0) == (scratch[name] != 0)).all() for name in ("fc1/kernel", "fc2/kernel"))
