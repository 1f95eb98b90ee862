"""SIGTERM and SIGINT: exit code 75, one line that reports it, and the same command resumes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from dlth_tf.stopping import TOGETHER
from tests.faults import runs
from tests.faults.driver import Fault
from tests.faults.moments import EPOCH_END, STEP
from tests.runs.tiny import listing

RESUME = "run the same command again to resume"
RUNNER = "dlth_tf.runs.runner"


@pytest.mark.slow
def test_sigterm_in_a_step_stops_after_a_checkpoint_and_the_same_command_finishes(tmp_path):
    changes = {"steps_per_execution": 1, "checkpoint_every": "9ep"}
    ended = runs.run(Fault(STEP, do="SIGTERM", nth=4, given="finetune"), "scratch", tmp_path / "run", **changes)
    assert ended.code == runs.STOPPED
    assert ended.err[-1] == f"dlth_tf.train: stopped after a checkpoint in phase finetune, step 4 of 16: {RESUME}"
    assert not [line for line in ended.err if "Traceback" in line]
    again = runs.run(None, "scratch", tmp_path / "run", **changes)
    assert (again.code, again.steps) == (runs.DONE, 12)
    assert runs.outcome(tmp_path / "run") == runs.uninterrupted("scratch", steps_per_execution=1)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("fault", "steps"),
    [
        (Fault(STEP, do="SIGINT", nth=9, given="transform"), 16),  # the last step of a phase
        (Fault(STEP, do="SIGINT", when="after", nth=16, given="finetune"), 0),  # the last of all
        (Fault(EPOCH_END, do="SIGTERM", given="finetune"), 8),
        (
            Fault(
                "dlth_tf.runs.checkpointing.callback:CheckpointCallback.on_train_begin", do="SIGTERM", given="finetune"
            ),
            25,
        ),  # outside of the steps
        (Fault(f"{RUNNER}:write_history", do="SIGTERM"), 25),
        (Fault(f"{RUNNER}:train_phase", do="SIGINT", when="after"), 25),
        (Fault(f"{RUNNER}:save_network", do="SIGTERM"), 25),
        (Fault("os:replace", do="SIGTERM", given="result.json"), 25),
    ],
    ids=lambda value: (
        f"{value.do} {value.when} {value.at.split(':')[1]} {value.given}" if isinstance(value, Fault) else None
    ),
)
def test_a_signal_at_any_moment_is_answered_with_75_and_nothing_is_lost(fault, steps, tmp_path):
    changes = {
        "steps_per_execution": 1,
        "checkpoint_every": "99min",
    }  # so that the only checkpoint is the one that the signal requests
    ended = runs.run(fault, "rst", tmp_path / "run", **changes)
    assert (
        ended.code == runs.STOPPED
        and ended.err[-1].endswith(RESUME)
        and ended.err[-1].startswith("dlth_tf.train: stopped")
    )
    again = runs.run(None, "rst", tmp_path / "run", **changes)
    assert (again.code, again.steps) == (runs.DONE, steps), again
    assert runs.outcome(tmp_path / "run") == runs.uninterrupted("rst", steps_per_execution=1)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("at", "dataset"),
    [
        ("dlth_tf.train:start_tensorflow", "digits"),
        (f"{RUNNER}:prepare", "digits"),
        ("tests.faults.networks:data", "tests.faults.networks:data"),  # inside custom code
        ("dlth_tf.models.lenet:lenet_300_100", "digits"),
    ],
)
def test_a_signal_before_training_leaves_nothing_behind(at, dataset, tmp_path):
    ended = runs.run(Fault(at, do="SIGTERM"), "scratch", tmp_path / "run", dataset=dataset)
    assert ended.code == runs.STOPPED and ended.err[-1] == f"dlth_tf.train: stopped by SIGTERM: {RESUME}"
    assert not (tmp_path / "run").exists()


@pytest.mark.faults
@pytest.mark.parametrize("signals", ["SIGTERM SIGTERM", "SIGINT SIGINT", "SIGTERM SIGINT"])
def test_a_second_signal_ends_the_process_at_once(signals, tmp_path):
    """While the main thread waits, as in a long training step: no new checkpoint is written; the last one counts."""
    process = runs.start(Fault(STEP, do="wait", nth=5), "scratch", tmp_path / "run", steps_per_execution=1)
    runs.reached(process, "now wait")
    before = listing(tmp_path / "run")
    for name in signals.split():
        process.send_signal(signal.Signals[name])
        time.sleep(2 * TOGETHER)
    assert process.wait(timeout=runs.PATIENCE) == runs.STOPPED
    assert process.stderr.read().splitlines()[-1] == (
        "stopped without another checkpoint because a second signal arrived: "
        "run the same command again to resume from the last one"
    )
    assert listing(tmp_path / "run") == before
    again_from_step_3(tmp_path / "run")


@pytest.mark.faults
def test_a_step_that_takes_too_long_is_not_waited_for(tmp_path):
    process = runs.start(Fault(STEP, do="wait", nth=5), "scratch", tmp_path / "run", steps_per_execution=1)
    runs.reached(process, "now wait")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=runs.PATIENCE) == runs.STOPPED
    assert 7 < time.monotonic() - began < 40  # 8 on an idle machine
    assert "because the training step takes too long" in process.stderr.read()
    again_from_step_3(tmp_path / "run")


def again_from_step_3(run_dir: Path) -> None:
    again = runs.run(None, "scratch", run_dir, steps_per_execution=1)
    assert (again.code, again.steps) == (runs.DONE, 13), again
    assert runs.outcome(run_dir) == runs.uninterrupted("scratch", steps_per_execution=1)
