"""Two devices train like one: the penalty and the masks count once, not once per replica."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "ways"), [("tensorflow", 1), ("jax", 2)])
def test_two_devices_train_like_one(backend, ways):
    """JAX in two ways: with the batch on both devices, and with the weights on both."""
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.keras3.replicas"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    differences = [float(word) for word in ended.stdout.splitlines()[-1].split()]
    assert len(differences) == ways and max(differences) < 1e-5
