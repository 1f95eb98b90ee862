"""An interrupted run resumes in this process: from its own checkpoint, with the same numbers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from tests.runs import tiny
from tests.runs.interrupted import interrupt, interrupted
from tests.runs.tiny import listing


def content(folder) -> dict[str, bytes | None]:
    return {name: data for name, (_, data) in listing(folder).items()}


def went_on(caplog) -> list[str]:
    return [message for message in caplog.messages if message.startswith("resuming")]


def test_it_goes_on_from_its_last_checkpoint_to_the_same_end(tmp_path, log, tiny_runs):
    config = interrupted("rst", "finetune", tmp_path / "run")
    result = runner.run(config)
    assert went_on(log) == ["resuming from a checkpoint: phase finetune, step 6"]
    assert result["weights_sha256"] == tiny_runs["rst"].result["weights_sha256"]
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("method", ["ste", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gmp", "rigl"))])
def test_masks_that_change_in_training_go_on_to_the_same_end(method, tmp_path, log):
    changes = {"epochs": "24it", "sparsity": 0.5, "checkpoint_every": "3it"}
    straight = runner.run(tiny.tiny(method, tmp_path / "straight", **changes))
    (phase,) = (phase["name"] for phase in straight["phases"])
    config = interrupted(method, phase, tmp_path / "run", **changes)
    newest = max((tmp_path / "run" / "checkpoints").glob("*.npz"))
    with np.load(newest, allow_pickle=False) as arrays:
        masks = {name.removeprefix("mask/"): arrays[name] for name in arrays if name.startswith("mask/")}
    resumed = runner.run(config)
    assert went_on(log) == [f"resuming from a checkpoint: phase {phase}, step 6"]
    assert resumed["weights_sha256"] == straight["weights_sha256"]
    final = Ticket.load(tmp_path / "run" / "ticket.npz")
    entered = [(np.packbits(mask) & ~masks[name]).any() for name, mask in final.items()]
    assert any(entered) == (method != "gmp"), "the masks must change after the checkpoint; gmp only removes"


@pytest.mark.slow
def test_a_convolutional_network_too_with_onednn(tmp_path, log):
    changes = {"model": "lenet5", "epochs": 1, "penalty_step": 0.5, "checkpoint_every": "3it"}
    straight = runner.run(tiny.tiny("rst", tmp_path / "straight", **changes))
    config = interrupted("rst", "finetune", tmp_path / "run", **changes, steps_per_execution=20)
    resumed = runner.run(config)
    assert went_on(log) and straight["onednn"] is True
    assert resumed["weights_sha256"] == straight["weights_sha256"]


def test_from_the_last_but_one_if_the_last_is_damaged_and_says_so(tmp_path, log, tiny_runs):
    config = interrupted("rst", "finetune", tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").glob("*.npz"))
    newest.write_bytes(newest.read_bytes()[:-100])
    result = runner.run(config)
    assert f"checkpoint {newest.stem} cannot be used (checksum mismatch); using the previous one" in log.messages
    assert went_on(log) == ["resuming from a checkpoint: phase finetune, step 3"]
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


@pytest.mark.slow
def test_checkpoints_of_another_run_are_not_taken_for_its_own(tmp_path):
    """The networks have the same shapes, so nothing else would distinguish them."""
    config = interrupted("scratch", "finetune", tmp_path / "run")
    interrupted("scratch", "finetune", tmp_path / "other", seed=1)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", tmp_path / "run" / "checkpoints")
    with pytest.raises(BadInput, match="it belongs to another configuration: seed is 1 there and 0 here"):
        runner.run(config)


def test_a_run_may_be_moved_and_its_checkpoints_still_count(tmp_path, log):
    interrupted("rst", "finetune", tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    runner.run(tiny.tiny("rst", tmp_path / "moved", checkpoint_every="1ep", steps_per_execution=1))
    assert went_on(log) == ["resuming from a checkpoint: phase finetune, step 6"]


@pytest.mark.slow
def test_history_has_no_row_twice_and_none_is_missing(tmp_path):
    config = tiny.tiny("rst", tmp_path / "run", checkpoint_every="1ep")
    interrupt(config, "finetune", 9)  # the first epoch is complete and saved, the second has begun
    runner.run(config)
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in history[1:]] == [
        ["transform", "1", "9"],
        ["finetune", "1", "8"],
        ["finetune", "2", "16"],
    ]
