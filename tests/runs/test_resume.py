"""A run that was interrupted goes on, in this process: from its checkpoint, with the same numbers, and not with those of another."""

from __future__ import annotations

import json
import logging
import shutil

import filelock
import numpy as np
import pandas as pd
import pytest

from dlth_tf import commands, train
from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from dlth_tf.runs.checkpointing.callback import NotFinite
from dlth_tf.runs.checkpointing.files import read_checkpoint
from dlth_tf.runs.directory import RunDirectory
from tests.runs import tiny
from tests.runs.interrupted import interrupt, interrupted
from tests.runs.tiny import listing

DIVERGING = {"lr_values": "0.038", "weight_decay": 100.0, "momentum": 0.0, "epochs": 3, "checkpoint_every": "1ep"}


def content(folder) -> dict[str, bytes | None]:
    return {name: data for name, (_, data) in listing(folder).items()}


def went_on(caplog) -> list[str]:
    return [message for message in caplog.messages if message.startswith("going on")]


@pytest.fixture
def log(caplog):
    logger = logging.getLogger("dlth_tf")
    before, logger.propagate = logger.propagate, True
    caplog.set_level(logging.INFO, logger="dlth_tf")
    yield caplog
    logger.propagate = before


def test_it_goes_on_from_its_last_checkpoint_to_the_same_end(tmp_path, log, tiny_runs):
    config = interrupted("rst", "finetune", tmp_path / "run")
    result = runner.run(config)
    assert went_on(log) == ["going on from a checkpoint: phase finetune, step 6"]
    assert result["weights_sha256"] == tiny_runs["rst"].result["weights_sha256"]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_from_the_last_but_one_if_the_last_is_damaged_and_says_so(tmp_path, log, tiny_runs):
    config = interrupted("rst", "finetune", tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").glob("*.npz"))
    newest.write_bytes(newest.read_bytes()[:-100])
    result = runner.run(config)
    assert (
        f"checkpoint {newest.stem} cannot be used (its checksum does not fit); the one before it is used"
        in log.messages
    )
    assert went_on(log) == ["going on from a checkpoint: phase finetune, step 3"]
    assert result["weights_sha256"] == tiny_runs["rst"].result["weights_sha256"]


def test_if_none_is_good_it_is_refused_and_nothing_is_changed(tmp_path):
    config = interrupted("rst", "finetune", tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*.npz"):
        path.write_bytes(b"")
    before = content(tmp_path / "run")
    with pytest.raises(
        BadInput, match=r"^run_dir=.*: none of its checkpoints can be used \(checkpoint 0.*checksum.*empty directory$"
    ):
        runner.run(config)
    assert {**content(tmp_path / "run"), "config.json": b""} == {**before, "config.json": b""}


def test_checkpoints_of_another_run_are_not_taken_for_its_own(tmp_path):
    """The networks have the same shape, so nothing else would tell."""
    config = interrupted("rst", "finetune", tmp_path / "run")
    interrupted("rst", "finetune", tmp_path / "other", seed=1)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", tmp_path / "run" / "checkpoints")
    with pytest.raises(BadInput, match="it is of another configuration: seed is 1 there and 0 here"):
        runner.run(config)


def test_a_run_may_be_moved_and_its_checkpoints_still_count(tmp_path, log):
    interrupted("rst", "finetune", tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    runner.run(tiny.tiny("rst", tmp_path / "moved", checkpoint_every="1ep", steps_per_execution=1))
    assert went_on(log) == ["going on from a checkpoint: phase finetune, step 6"]


def test_history_has_no_row_twice_and_none_is_missing(tmp_path):
    config = tiny.tiny("rst", tmp_path / "run", checkpoint_every="1ep")
    interrupt(config, "finetune", 9)  # the first epoch is over and saved, the second is begun
    runner.run(config)
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in history[1:]] == [
        ["transform", "1", "9"],
        ["finetune", "1", "8"],
        ["finetune", "2", "16"],
    ]


# Directories


def test_what_a_process_leaves_that_was_killed_before_config_json_is_free(tmp_path):
    for name in (".lock", ".config.json.abcd_123.part"):
        (tmp_path / name).write_text("{")
    config = tiny.tiny("scratch", tmp_path)
    RunDirectory(tmp_path).refuse_other_runs(config)
    with RunDirectory(tmp_path).open(config, {}):
        assert set(content(tmp_path)) == {".lock", "config.json"}
    (tmp_path / "config.json").unlink()
    (tmp_path / "thesis.part").write_text("years of work")
    with pytest.raises(BadInput, match="holds other files"):
        RunDirectory(tmp_path).refuse_other_runs(config)


@pytest.mark.parametrize(
    ("seed", "reason"), [(1, "another configuration: seed is 1 there and 0 here"), (0, "completed by another process")]
)
def test_what_another_process_did_in_the_meantime_is_not_overwritten(seed, reason, tmp_path, tiny_runs):
    """It came and went between this one's first look and its lock."""
    with RunDirectory(tmp_path).open(tiny.tiny("scratch", tmp_path, seed=seed), {}):
        (tmp_path / "result.json").write_bytes(tiny_runs["scratch"].directory.result.read_bytes())
    before = listing(tmp_path)
    with pytest.raises(BadInput, match=reason):
        RunDirectory(tmp_path).open(tiny.tiny("scratch", tmp_path), {})
    assert listing(tmp_path) == before
    filelock.FileLock(tmp_path / ".lock").acquire(timeout=0)  # whoever is refused does not keep it


@pytest.mark.parametrize("text", ["{}", '{"config": []}', '{"config": null}'])
def test_a_config_json_without_a_configuration_is_refused(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadInput, match=r"its config\.json does not say which configuration it is of"):
        runner.run(tiny.tiny("scratch", tmp_path))


def test_a_result_json_without_a_result_is_refused(tmp_path, tiny_runs):
    (tmp_path / "config.json").write_bytes(tiny_runs["scratch"].directory.config.read_bytes())
    (tmp_path / "result.json").write_text('{"test": {}}')
    with pytest.raises(BadInput, match=r"its result\.json lacks sparsity, phases, weights_sha256"):
        runner.run(tiny.tiny("scratch", tmp_path))


# Numbers that are none


def test_a_loss_that_is_no_number_stops_the_run_with_step_and_tensor_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(NotFinite) as stopped:
        runner.run(tiny.tiny("dense", tmp_path / "run", sparsity=None, steps_per_execution=1, **DIVERGING))
    assert str(stopped.value).startswith("the loss is nan in phase train, step ")
    assert str(stopped.value).endswith(
        "; the first tensor that is not finite: fc1/kernel: a smaller learning rate may help, or --on_nan=rollback"
    )
    step = int(str(stopped.value).split("step ")[1].split(";")[0])
    saved = read_checkpoint(max((tmp_path / "run" / "checkpoints").glob("*.json")).with_suffix(""))
    assert saved.meta["step"] == step // 8 * 8 > 0
    assert all(np.isfinite(value).all() for value in saved.arrays.values())
    assert not (tmp_path / "run" / "result.json").exists()


def test_the_command_says_it_in_its_last_line_and_between_which_steps_of_an_execution_it_was(tmp_path, capsys):
    argv = tiny.tiny_flags("dense", tmp_path / "run", **DIVERGING)
    assert (
        commands.run_command("dlth_tf.train", train.main, [word for word in argv if "sparsity" not in word])
        == commands.FAILED
    )
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("dlth_tf.train: failed with NotFinite: the loss is nan in phase train, one of the steps ")


def test_rollback_goes_back_once_with_half_the_learning_rate(tmp_path, log):
    options = {**DIVERGING, "on_nan": "rollback", "checkpoint_every": "99ep"}  # far enough back: to the start
    result = runner.run(tiny.tiny("dense", tmp_path / "run", sparsity=None, steps_per_execution=1, **options))
    assert result["rollback"].keys() == {"phase", "reason", "rate_scale"}
    assert (result["rollback"]["phase"], result["rollback"]["rate_scale"]) == ("train", 0.5)
    assert result["rollback"]["reason"].startswith("the loss is nan in phase train, step ")
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    assert [message for message in log.messages if message.endswith("with half the learning rate")]
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3] and history["lr"].iloc[-1] == 0.019


def test_the_second_time_it_stops(tmp_path):
    config = tiny.tiny("dense", tmp_path / "run", sparsity=None, on_nan="rollback", **{**DIVERGING, "lr_values": "0.1"})
    with pytest.raises(NotFinite):
        runner.run(config)
    with pytest.raises(NotFinite):  # the same command again: the same end, and no third try hidden in it
        runner.run(config)


def test_what_does_not_diverge_has_no_rollback_in_its_result(tiny_runs):
    assert "rollback" not in tiny_runs["rst"].result
