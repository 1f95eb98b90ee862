"""The claims of the demo, at one of its sparsities, with its own three commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def command(module: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    command("dlth_tf.sweep", "--flagfile=flags/digits/demo.flags", "--sparsities=.98", f"--sweep_dir={folder}")
    command("dlth_tf.report", f"--sweep_dir={folder}")
    return folder


@pytest.fixture(scope="module")
def accuracy(demo) -> pd.Series:
    return pd.read_csv(demo / "results.csv").groupby("method")["test_accuracy_last"].mean()


def test_a_transformed_random_ticket_is_well_above_the_same_ticket_trained_directly(accuracy):
    assert accuracy["rst"] > accuracy["scratch"] + 0.03


def test_a_transformed_random_ticket_is_close_to_the_winning_ticket_and_not_above_dense(accuracy):
    assert abs(accuracy["rst"] - accuracy["lth"]) < 0.02
    assert accuracy["rst"] < accuracy["dense"]


def test_rst_and_scratch_keep_the_very_same_weights(demo):
    tickets = {
        method: json.loads((demo / f"{method}-0.98-s0" / "ticket.json").read_text())
        for method in ("rst", "scratch", "lth")
    }
    assert tickets["rst"]["sha256"] == tickets["scratch"]["sha256"] != tickets["lth"]["sha256"]


def test_the_report_is_complete_and_the_best_run_can_be_exported(demo, tmp_path):
    assert "rst" in (demo / "table.md").read_text() and (demo / "accuracy_vs_sparsity.png").stat().st_size > 10_000
    output = command("dlth_tf.export", f"--sweep_dir={demo}", "--method=rst", f"--export_dir={tmp_path}/best")
    assert "checked" in output and (tmp_path / "best/plain/saved_model.pb").exists()
