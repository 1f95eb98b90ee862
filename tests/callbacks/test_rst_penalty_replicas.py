"""RSTPenalty on two replicas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.callbacks.two_replicas import outcome

ROOT = Path(__file__).resolve().parents[2]


def test_two_replicas_give_what_one_gives(tmp_path):
    command = [sys.executable, "-m", "tests.callbacks.two_replicas", str(tmp_path / "two.npz")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    one = outcome(tf.distribute.get_strategy())
    with np.load(tmp_path / "two.npz") as two:
        assert (int(one["replicas"]), int(two["replicas"])) == (1, 2)
        assert set(one) == set(two) and float(two["removed"]) == 0.0
        for name, value in one.items():
            if name.startswith("mask/"):
                np.testing.assert_array_equal(two[name], value)
            elif name != "replicas":
                np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-6, err_msg=name)
        assert np.abs(two["trained/fc1/kernel"] - one["squeezed/fc1/kernel"]).max() > 1e-2, (
            "the twin: a difference is seen"
        )
