"""The base class of callbacks works in the `fit` of either Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras

from dlth_tf import callbacks
from dlth_tf.callbacks.base import Callback
from tests.callbacks.counting import EPOCHS, HOOKS, STEPS

ROOT = Path(__file__).resolve().parents[2]
PUBLIC: dict[str, Callable[[Path], Any]] = {
    "DynamicSparsity": lambda folder: callbacks.DynamicSparsity(every=2),
    "EarlyBird": lambda folder: callbacks.EarlyBird(0.5),
    "GradualMagnitude": lambda folder: callbacks.GradualMagnitude(0.5, every=1),
    "IMP": lambda folder: callbacks.IMP(0.5, rounds=1),
    "KeepMask": lambda folder: callbacks.KeepMask(),
    "RSTPenalty": lambda folder: callbacks.RSTPenalty(step=0.5, every=1, hold_steps=1),
    "RandomMask": lambda folder: callbacks.RandomMask(0.5, remove=True),
    "SparsityMonitor": lambda folder: callbacks.SparsityMonitor(folder / "logs"),
    "StraightThrough": lambda folder: callbacks.StraightThrough(0.5),
}
WATCH_NO_BATCHES = {"EarlyBird", "KeepMask", "RandomMask", "SparsityMonitor"}


@pytest.fixture(scope="module")
def records() -> dict[str, Any]:
    """Returns what a counting callback recorded under each Keras, in one fresh process."""
    command = [sys.executable, "-m", "tests.callbacks.counting"]
    env = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_counts_are_the_same_in_either_keras(records):
    one, other = records["keras 2"], records["keras 3"]
    for name in ("calls", "epochs", "batches", "params", "is the model"):
        assert one[name] == other[name], name


@pytest.mark.parametrize("keras", ["keras 2", "keras 3"])
def test_every_hook_is_called_at_its_place(records, keras):
    record = records[keras]
    assert record["calls"] == {
        "on_train_begin": 1,
        "on_train_end": 1,
        "on_epoch_begin": EPOCHS,
        "on_epoch_end": EPOCHS,
        "on_train_batch_begin": EPOCHS * STEPS,
        "on_train_batch_end": EPOCHS * STEPS,
        # Once per epoch on one batch of validation data, then once on all training data.
        "on_test_begin": EPOCHS + 1,
        "on_test_end": EPOCHS + 1,
        "on_test_batch_begin": EPOCHS + STEPS,
        "on_test_batch_end": EPOCHS + STEPS,
        "on_predict_begin": 1,
        "on_predict_end": 1,
        "on_predict_batch_begin": STEPS,
        "on_predict_batch_end": STEPS,
    }
    assert set(HOOKS) - set(record["calls"]) == {"on_batch_begin", "on_batch_end"}, "older names, never called"
    assert record["epochs"] == [0, 1] and record["batches"] == [0, 1, 2] * 2
    assert record["params"] == {"epochs": EPOCHS, "steps": STEPS} and record["is the model"]


@pytest.mark.parametrize("keras", ["keras 2", "keras 3"])
def test_values_that_are_added_to_the_logs_of_an_epoch_are_in_the_history(records, keras):
    history = records[keras]["history"]
    assert history["added"] == [10.0, 11.0]
    assert set(history) == {"loss", "val_loss", "added"} and np.isfinite(history["loss"]).all()


def test_every_public_callback_is_listed_here():
    assert sorted(PUBLIC) == sorted(callbacks.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_callback_belongs_to_a_version_of_keras(name, tmp_path):
    import keras

    callback = PUBLIC[name](tmp_path)
    assert isinstance(callback, Callback)
    assert not isinstance(callback, tf_keras.callbacks.Callback | keras.callbacks.Callback)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_callback_that_watches_no_batches_says_so(name, tmp_path):
    """Otherwise Keras would copy the metrics to the host at every step."""
    callback = PUBLIC[name](tmp_path)
    assert callback._implements_train_batch_hooks() is (name not in WATCH_NO_BATCHES)
    assert callback._implements_test_batch_hooks() is False and callback._implements_predict_batch_hooks() is False
    silent = [getattr(getattr(callback, f"on_train_batch_{when}"), "_is_default", False) for when in ("begin", "end")]
    assert all(silent) is (name in WATCH_NO_BATCHES), "the mark that Keras 3 reads"
