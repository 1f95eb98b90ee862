"""The examples run, with the commands that stand in them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from dlth_tf import commands, train

ROOT = Path(__file__).resolve().parents[1]


def test_a_network_and_data_of_ones_own_are_trained_and_pruned(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    lines = [line[2:] for line in (ROOT / "examples/own_model_and_data.py").read_text().splitlines() if line.startswith("# ")]
    words = shlex.split(lines[0].rstrip("\\") + lines[1])
    assert words[:3] == ["python", "-m", "dlth_tf.train"]
    assert commands.run_command("dlth_tf.train", train.main, [*words[3:], f"--run_dir={tmp_path / 'run'}"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["sparsity"]["per_tensor"] == {"conv1/kernel": 0.0, "conv2/kernel": pytest.approx(0.9, abs=1e-3), "fc/kernel": 0.0}
    assert result["test"]["accuracy_last"] > 0.6, "three classes, so a third is chance"
