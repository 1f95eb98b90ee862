"""The benchmarks run and print what they promise; their figures are for people, not for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_train_step_prints_a_ratio_for_every_variant():
    words = ["benchmarks/train_step.py", "--rounds=3", "--only=steps_per_execution 20"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for variant in ("dense", "dense again", "stock tf-mot", "rst", "finetune"):
        assert f"\n{variant} " in done.stdout
