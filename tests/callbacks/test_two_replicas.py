"""Masks that change, rewinding and scores: two replicas give the same as one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.callbacks.two_replicas_changing import CALLBACKS, outcome

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["filters", "imp", "scores"]


@pytest.mark.faults_cases("all")
@pytest.mark.slow
@pytest.mark.parametrize("names", [QUICK, [*CALLBACKS]], ids=["quick", "all"])
def test_two_replicas_give_the_masks_weights_and_scores_of_one(names, tmp_path):
    command = [sys.executable, "-m", "tests.callbacks.two_replicas_changing", str(tmp_path / "two.npz"), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    one = outcome(tf.distribute.get_strategy(), names)
    with np.load(tmp_path / "two.npz") as two:
        assert (int(one["replicas"]), int(two["replicas"])) == (1, 2) and set(one) == set(two)
        assert float(two["apart"]) == 0.0, "the replicas hold the same weights and masks"
        for name, value in one.items():
            if name.startswith("mask/"):
                np.testing.assert_array_equal(two[name], value, err_msg=name)
            elif name != "replicas":
                np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-6, err_msg=name)
                assert name == "apart" or np.abs(value).max() > 1e-3, "the twin: a difference would be seen"
    masks = [value.tobytes() for name, value in one.items() if name.startswith("mask/")]
    assert len(set(masks)) == len(masks) == len(names) - ("scores" in names), "every callback chose its own"
