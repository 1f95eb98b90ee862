"""The progress of a run, written to a checkpoint and restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import files, masking
from dlth_tf.methods import Network
from dlth_tf.runs.checkpointing import manager as manager_module
from dlth_tf.runs.checkpointing.files import CheckpointFiles
from dlth_tf.runs.checkpointing.interval import CheckpointInterval
from dlth_tf.runs.checkpointing.manager import CheckpointManager, RunState, restore_callbacks, stateful
from tests.runs.tiny import TINY, RunConfig

DONE = RunState(
    1, [{"phase": "transform", "loss": 0.1}], [{"name": "transform"}], [(5, 2.5)], 7.0, 0.5, {"phase": "transform"}
)


def network() -> Network:
    """A compiled one, without recipe and inputs."""
    model = dlth.wrap(
        tf_keras.Sequential([tf_keras.layers.Dense(4, input_shape=(5,), name="a"), tf_keras.layers.Dense(3, name="b")])
    )
    model.compile(dlth.optimizers.SGD(0.1, momentum=0.9), "mse")
    initial = masking.weight_arrays(model)
    return Network(model, None, initial, None, dict)


class Clock:
    """Takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


def manager(folder: Path) -> CheckpointManager:
    files.write_json(
        folder / "config.json", {"config": RunConfig(**{**TINY, "method": "rst", "run_dir": str(folder)}).to_json()}
    )
    return CheckpointManager(network(), CheckpointFiles(folder / "checkpoints"), CheckpointInterval(1, "ep"))


class Counter:
    """A callback with a state to save."""

    def __init__(self, number: int = 0) -> None:
        self.number, self.array = number, np.arange(number)

    def saved_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"number": self.number}, {"array": self.array}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.number, self.array = meta["number"], arrays["array"]


def test_a_run_without_checkpoints_has_done_nothing(tmp_path):
    fresh = manager(tmp_path)
    assert fresh.load() is None and fresh.state == RunState()


def test_what_was_done_comes_back(tmp_path):
    first, second = manager(tmp_path), manager(tmp_path)
    first.state = DONE
    first.network.before_removal = {"test_accuracy": 0.5}
    first.network.after_removal = {"test_accuracy": 0.25}
    first.save()
    saved = second.load()
    assert second.state.rows == DONE.rows and second.state.macs == DONE.macs and second.state.rollback == DONE.rollback
    assert (second.state.phase, second.state.phases, second.state.rate_scale) == (1, DONE.phases, 0.5)
    assert second.network.before_removal == {"test_accuracy": 0.5} and second.network.after_removal == {
        "test_accuracy": 0.25
    }
    assert saved.meta["inside"] is False and "step" not in saved.meta
    for name, variable in masking.named_weights(first.network.model).items():
        assert np.array_equal(variable.numpy(), masking.named_weights(second.network.model)[name].numpy())


def test_time_counts_over_all_processes_but_not_between_them(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(manager_module, "time", clock)
    first = manager(tmp_path)
    clock.now += 5
    first.save()
    clock.now += 1000
    second = manager(tmp_path)
    second.load()
    clock.now += 2
    assert second.seconds() == 7.0


def test_inside_a_phase_the_callbacks_come_back_too(tmp_path):
    first = manager(tmp_path)
    masking.inner_optimizer(first.network.model).iterations.assign(4)
    first.save([Counter(3), object()])
    saved, other = manager(tmp_path).load(), Counter()
    assert saved.meta["inside"] and saved.meta["step"] == 4
    restore_callbacks([object(), other], saved)
    assert (other.number, other.array.tolist()) == (3, [0, 1, 2])
    assert list(stateful([object(), other])) == ["Counter"]


@pytest.mark.parametrize("changed", [False, True])
def test_weights_to_rewind_to_are_those_of_the_checkpoint(changed, tmp_path):
    """Also if a failed attempt has replaced them since."""
    first = manager(tmp_path)
    start = first.network.initial
    if changed:
        first.network.initial, first.network.initial_changed = {name: value + 1 for name, value in start.items()}, True
    first.save()
    expected = first.network.initial
    first.network.initial, first.network.initial_changed = {name: value * np.nan for name, value in start.items()}, True
    first.load()
    assert first.network.initial_changed is changed
    assert all(np.array_equal(first.network.initial[name], expected[name]) for name in start)
