"""The benchmark of the input pipeline runs in its quick form."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.data.conftest import ROOT


@pytest.mark.faults
def test_the_quick_form_prints_all_three_tables() -> None:
    command = [
        sys.executable,
        "benchmarks/input_pipeline.py",
        "--quick",
        "--rounds=2",
        "--models=lenet5",
        "--augments=crop_flip+cutmix",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=250)
    assert done.returncode == 0, done.stderr
    for title in ("Reading, to what training consumes", "crop_flip", "Memory of a set in memory"):
        assert title in done.stdout
    assert (
        "memory crop_flip+cutmix" in done.stdout
        and "disk resized_crop" in done.stdout
        and "training step of lenet5" in done.stdout
    )
