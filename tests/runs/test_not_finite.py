"""A loss or a weight that is not finite ends a run, or with --on_nan=rollback makes it return once to a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from dlth_tf import commands, train
from dlth_tf.runs import runner
from dlth_tf.runs.checkpointing.callback import NotFinite
from dlth_tf.runs.checkpointing.files import read_checkpoint
from tests.runs.tiny import tiny, tiny_flags

DIVERGING = {"lr_values": "0.038", "weight_decay": 100.0, "momentum": 0.0, "epochs": 3, "checkpoint_every": "1ep"}


def test_a_loss_that_is_no_number_stops_the_run_with_step_and_tensor_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(NotFinite) as stopped:
        runner.run(tiny("dense", tmp_path / "run", sparsity=None, steps_per_execution=1, **DIVERGING))
    assert str(stopped.value).startswith("the loss is nan in phase train, step ")
    assert str(stopped.value).endswith(
        "; the first tensor that is not finite: fc1/kernel: try a smaller learning rate, or --on_nan=rollback"
    )
    step = int(str(stopped.value).split("step ")[1].split(";")[0])
    saved = read_checkpoint(max((tmp_path / "run" / "checkpoints").glob("*.json")).with_suffix(""))
    assert saved.meta["step"] == step // 8 * 8 > 0
    assert all(np.isfinite(value).all() for value in saved.arrays.values())
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_the_command_says_it_in_its_last_line_and_between_which_steps_of_an_execution_it_was(tmp_path, capsys):
    argv = tiny_flags("dense", tmp_path / "run", **DIVERGING)
    assert (
        commands.run_command("dlth_tf.train", train.main, [word for word in argv if "sparsity" not in word])
        == commands.FAILED
    )
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("dlth_tf.train: failed with NotFinite: the loss is nan in phase train, one of the steps ")


def test_rollback_goes_back_once_with_half_the_learning_rate(tmp_path, log):
    options = {**DIVERGING, "on_nan": "rollback", "checkpoint_every": "99ep"}  # far enough back: to the beginning
    result = runner.run(tiny("dense", tmp_path / "run", sparsity=None, steps_per_execution=1, **options))
    assert result["rollback"].keys() == {"phase", "reason", "rate_scale"}
    assert (result["rollback"]["phase"], result["rollback"]["rate_scale"]) == ("train", 0.5)
    assert result["rollback"]["reason"].startswith("the loss is nan in phase train, step ")
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    (message,) = [message for message in log.messages if message.endswith("with half the learning rate")]
    assert "first tensor that is not finite: " in message and "try a smaller" not in message
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3] and history["lr"].iloc[-1] == 0.019


@pytest.mark.slow
def test_the_second_time_it_stops(tmp_path):
    config = tiny("dense", tmp_path / "run", sparsity=None, on_nan="rollback", **{**DIVERGING, "lr_values": "0.1"})
    with pytest.raises(NotFinite):
        runner.run(config)
    with pytest.raises(NotFinite):  # the same command again ends the same, without a third attempt
        runner.run(config)


def test_what_does_not_diverge_has_no_rollback_in_its_result(tiny_runs):
    assert "rollback" not in tiny_runs["rst"].result
