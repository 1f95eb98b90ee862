"""A run that is killed and restarted ends like an uninterrupted one: every method, every phase, many moments."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dlth_tf.methods import METHODS
from tests.faults import runs
from tests.faults.driver import Fault
from tests.faults.moments import EPOCH_END, RENAME, STEP, WHILE_WRITING, chain, in_phase, phases
from tests.runs import tiny

NETWORKS = "tests.faults.networks"


def killed_again_and_again(faults: list[Fault], method: str, run_dir: Path, **changes: Any) -> runs.Ended:
    """Kills one process after another, until the last one finishes the run."""
    for fault in faults:
        ended = runs.run(fault, method, run_dir, **changes)
        assert (ended.code, ended.out[-1]) == (runs.KILLED, f"now {fault.do}"), (fault, ended)
    ended = runs.run(None, method, run_dir, **changes)
    assert ended.code == runs.DONE, ended
    return ended


def check(faults: list[Fault], method: str, run_dir: Path, **changes: Any) -> None:
    """Checks that the killed run ends like an uninterrupted one, and that its last process did not start over."""
    ended = killed_again_and_again(faults, method, run_dir, **changes)
    expected = runs.uninterrupted(method, **changes)
    assert runs.outcome(run_dir) == expected
    assert ended.steps < sum(phase["steps"] for phase in expected["phases"])
    assert any(line.startswith("resuming from a checkpoint: phase ") for line in ended.out)
    own = {"network.json"} if ":" in changes.get("model", "") else set()
    assert {path.name for path in run_dir.iterdir()} - {".lock"} == tiny.FILES | own


@pytest.mark.slow
def test_rst_survives_a_kill_while_it_writes_a_checkpoint(tmp_path):
    """The arrays of the second checkpoint exist then, but not the .json that makes them one."""
    fault = Fault(RENAME, given=".npz", nth=2, when="after")
    check([fault], "rst", tmp_path / "killed", steps_per_execution=1)


@pytest.mark.slow
def test_a_regression_survives_a_kill(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 5))
    pd.DataFrame(x, columns=[*"abcde"]).assign(label=x[:, 0] - x[:, 1]).to_csv(tmp_path / "t.csv", index=False)
    changes = {"dataset": f"csv:{tmp_path / 't.csv'}", "task": "regression", "model": "mlp", "model_args": "{}"}
    sizes = {"batch_size": 32, "transform_batch_size": 32, "lr": 0.01}
    check([in_phase("finetune", 5)], "rst", tmp_path / "killed", **changes, **sizes, steps_per_execution=1)


@pytest.mark.slow
def test_another_seed_or_one_step_more_would_be_seen():
    """The comparison can fail."""
    expected = runs.uninterrupted("scratch", steps_per_execution=1)
    for changes in ({"seed": 1}, {"epochs": "15it"}):
        other = runs.uninterrupted("scratch", steps_per_execution=1, **changes)
        assert other["weights_sha256"] != expected["weights_sha256"] and other["history"] != expected["history"]


@pytest.mark.faults
def test_rst_survives_three_kills(tmp_path):
    half_removed = Fault("os:unlink", given="000001.json", when="after")
    faults = [in_phase("transform", 5), WHILE_WRITING[1], half_removed]
    check(faults, "rst", tmp_path / "killed", steps_per_execution=1)


@pytest.mark.faults
def test_a_network_with_dropout_survives_three_kills(tmp_path):
    faults = [in_phase("round_1", 2), Fault(RENAME, given="checkpoints/", nth=4), in_phase("round_2", 1)]
    changes = {"model": f"{NETWORKS}:dropout", "model_args": "{}", "steps_per_execution": 3, "rewind_step": "5it"}
    check(faults, "lth_iter", tmp_path / "killed", **changes)


FORMS = [
    (1, "3it", 5),
    (7, "3it", 1),
    (1, "1ep", 5),
    (7, "1ep", 2),
]  # steps_per_execution, checkpoint_every, executions until the kill


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_survives_a_kill_in_every_phase_and_three_more(method, tmp_path):
    number = METHODS.names().index(method)
    steps, every, executions = FORMS[number % len(FORMS)]
    faults = chain(number, phases(method), executions)
    check(faults, method, tmp_path / "killed", steps_per_execution=steps, checkpoint_every=every)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dropout": ("rst", {"model": f"{NETWORKS}:dropout", "model_args": "{}"}),
    "batch norm": ("rst", {"model": f"{NETWORKS}:normalised", "model_args": "{}"}),
    "early bird by batch norm": (
        "early_bird",
        {
            "model": f"{NETWORKS}:normalised",
            "model_args": "{}",
            "granularity": "filter",
            "epochs": 6,
            "dense_layers": "last",
        },
    ),
    "rewinding to a step": ("lth_iter", {"rewind_step": "5it"}),
    "deleting and finetuning between cycles": (
        "rst_iter",
        {"delete_between_cycles": True, "finetune_between_cycles": True, "round_epochs": "1ep"},
    ),
    "loss scaling": ("rst", {"precision": "mixed_float16"}),
    "float64": ("rigl", {"precision": "float64"}),
    "filters": ("gmp", {"granularity": "filter"}),
    "convolutions": ("ste", {"model": "lenet5", "model_args": "{}", "epochs": "12it"}),
    "augmented images": ("scratch", {"augment": "crop_flip"}),
}


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_network_and_option_survives_kills(variant, tmp_path):
    method, changes = VARIANTS[variant]
    names = phases(method, **changes)
    faults = [in_phase(names[0], 4), in_phase(names[-1], 2), Fault(EPOCH_END, given=names[-1])]
    check(faults, method, tmp_path / "killed", steps_per_execution=1, **changes)


@pytest.mark.faults
def test_a_run_that_went_back_once_goes_back_again_after_a_kill(tmp_path):
    """It diverges at step 12; the steps around it were not saved, and are repeated."""
    changes = {
        "on_nan": "rollback",
        "lr_values": "0.038",
        "weight_decay": 100.0,
        "momentum": 0.0,
        "epochs": 3,
        "steps_per_execution": 1,
    }
    for nth in (10, 20):
        assert (
            runs.run(Fault(STEP, nth=nth), "dense", tmp_path / "killed", checkpoint_every="99ep", **changes).code
            == runs.KILLED
        )
    assert runs.run(None, "dense", tmp_path / "killed", checkpoint_every="99ep", **changes).code == runs.DONE
    expected = runs.uninterrupted("dense", **{**changes, "checkpoint_every": "99ep"})
    assert runs.outcome(tmp_path / "killed") == expected and expected["rollback"]["rate_scale"] == 0.5


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_kills_from_outside_at_random_times(tmp_path):
    """The moment is random: a kill follows up to two seconds after the process has written its first checkpoint."""
    draw, folder, changes = (
        random.Random(0),
        tmp_path / "killed",
        {"epochs": 240, "hold_steps": 100, "steps_per_execution": 1},
    )
    for _ in range(5):
        before = newest(folder)
        process = runs.start(None, "rst", folder, **changes)
        while newest(folder) == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(2 * draw.random())
        process.kill()
        assert runs.ended(process).code == runs.KILLED
    check([], "rst", folder, **changes)


def newest(folder: Path) -> str:
    return max((path.name for path in folder.glob("checkpoints/??????.json")), default="")


@pytest.mark.faults
@pytest.mark.parametrize(
    "fault",
    [
        Fault("dlth_tf.runs.directory:git_commit"),
        Fault(RENAME, given="config.json"),
        Fault("dlth_tf.files.json_files:write_atomic", given="config.json", do="half"),
        Fault(RENAME, given="config.json", when="after"),
        Fault(RENAME, given="000001.npz", when="after"),
        Fault(RENAME, given="000001.json"),
    ],
    ids=lambda fault: f"{fault.at} {fault.given} {fault.when}",
)
def test_a_run_killed_before_its_first_checkpoint_starts_over(fault, tmp_path):
    assert runs.run(fault, "scratch", tmp_path / "killed", steps_per_execution=1).code == runs.KILLED
    ended = runs.run(None, "scratch", tmp_path / "killed", steps_per_execution=1)
    assert ended.code == runs.DONE and ended.steps == 16, ended
    assert runs.outcome(tmp_path / "killed") == runs.uninterrupted("scratch", steps_per_execution=1)


@pytest.mark.faults
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_after_its_result_is_complete(when, tmp_path):
    fault = Fault("dlth_tf.runs.checkpointing.files:CheckpointFiles.clear", when=when)
    assert runs.run(fault, "scratch", tmp_path / "killed").code == runs.KILLED
    ended = runs.run(None, "scratch", tmp_path / "killed")
    assert (ended.code, ended.steps) == (runs.DONE, 0) and "is already complete" in ended.out[-3]
    assert runs.outcome(tmp_path / "killed") == runs.uninterrupted("scratch", steps_per_execution=1)


@pytest.mark.faults
def test_the_lock_ends_with_its_holder(tmp_path):
    """While one process runs, the second is refused and changes nothing; once the first is killed, it is accepted."""
    first = runs.start(Fault(STEP, do="wait", nth=5), "scratch", tmp_path / "killed", steps_per_execution=1)
    runs.reached(first, "now wait")
    before = tiny.listing(tmp_path / "killed")
    second = runs.run(None, "scratch", tmp_path / "killed", steps_per_execution=1)
    assert second.code == runs.BAD_INPUT and second.err[-1].endswith("is in use by another process")
    assert tiny.listing(tmp_path / "killed") == before
    first.send_signal(signal.SIGKILL)
    assert runs.ended(first).code == runs.KILLED
    check([], "scratch", tmp_path / "killed", steps_per_execution=1)
