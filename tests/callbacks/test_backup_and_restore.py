"""Training that is interrupted and restored by BackupAndRestore ends as an uninterrupted one, to the last bit.

Keras itself restores the beginning of an epoch, or, with `save_freq=N`, a step whose epoch then starts with its first
batch again: that differs from a straight run in plain Keras too.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import tf_keras

from dlth_tf import callbacks, masking
from tests.callbacks.every_callback import CALLBACKS, difference, fit, network, quick_or_slow
from tests.masking.networks import largest_removed


class Stops(tf_keras.callbacks.Callback):
    """Raises KeyboardInterrupt when an epoch begins, or after its second batch."""

    def __init__(self, epoch: int, inside: bool = False) -> None:
        super().__init__()
        self.epoch = epoch
        self.inside = inside
        self.now = -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch
        if epoch == self.epoch and not self.inside:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.now == self.epoch and self.inside and batch == 1:
            raise KeyboardInterrupt


@functools.cache
def straight(name: str) -> tf_keras.Model:
    model = network()
    return fit(model, CALLBACKS[name](model))


def with_backup(name: str, folder: Path, first: bool, *more: Any) -> tf_keras.Model:
    """Trains a new network, as a process that is started again would."""
    model = network()
    backup = tf_keras.callbacks.BackupAndRestore(str(folder))
    ours = CALLBACKS[name](model)
    return fit(model, [*([backup, *ours] if first else [*ours, backup]), *more])


def restored(name: str, folder: Path, first: bool, *stops: Stops) -> tf_keras.Model:
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            with_backup(name, folder, first, stop)
    return with_backup(name, folder, first)


def check(name: str, model: tf_keras.Model) -> None:
    assert difference(model, straight(name)) == []
    assert masking.installed(model) is None and largest_removed(model) == 0.0


@pytest.mark.fast_cases("penalty")
@pytest.mark.slow_cases("growth by gradient", "keep mask", "imp that rewinds to step 3", "early bird that settles")
@quick_or_slow("penalty", "straight through", "growth by gradient")
def test_an_interrupted_run_ends_as_a_straight_one(name, tmp_path):
    number = list(CALLBACKS).index(name)
    check(name, restored(name, tmp_path, number % 2 == 0, Stops(3 + number % 2, inside=number % 3 == 0)))


@pytest.mark.slow_cases("penalty", "gradual", "imp that rewinds to step 3", "random growth")
@quick_or_slow()
def test_so_does_one_that_is_interrupted_twice(name, tmp_path):
    check(name, restored(name, tmp_path, False, Stops(2), Stops(4, inside=True)))


@pytest.mark.slow_cases(
    "penalty-first-*",
    "gradual-last-(4, True)",
    "growth by gradient-last-(3, False)",
    "imp-first-(2, True)",
    "imp that rewinds to step 3-last-(1, False)",
    "early bird that settles-last-(5, False)",
)
@pytest.mark.slow
@pytest.mark.parametrize("stop", [(1, False), (2, True), (3, False), (4, True), (5, False)], ids=str)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("name", CALLBACKS)
def test_wherever_it_is_interrupted_and_wherever_the_backup_stands(name, first, stop, tmp_path):
    check(name, restored(name, tmp_path, first, Stops(*stop)))


@pytest.mark.slow
def test_a_run_that_is_not_restored_differs(tmp_path):
    """The negative twin: without the backup the second process starts anew from another step of the schedule."""
    with pytest.raises(KeyboardInterrupt):
        with_backup("gradual", tmp_path, True, Stops(4))
    model = network()
    fit(model, CALLBACKS["gradual"](model), initial_epoch=4)
    assert difference(model, straight("gradual"))


def test_the_state_of_a_callback_is_no_part_of_the_model_after_its_fit(tmp_path):
    model = with_backup("straight through", tmp_path, True)
    plain = network()
    assert {name for name, _ in model._trackable_children().items()} == {*plain._trackable_children()}


@pytest.mark.fast_cases("same")
@pytest.mark.parametrize("again", [lambda model: model, lambda model: network()], ids=["same", "built again"])
def test_a_checkpoint_of_one_fit_says_nothing_to_the_next(again, tmp_path):
    path = str(tmp_path / "checkpoint")
    model = network()
    saves = tf_keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    fit(model, [callbacks.RandomMask(0.5, remove=True), saves])
    model = again(model)
    model.load_weights(path)
    mask = callbacks.RandomMask(0.75, remove=True)
    fit(model, [mask])
    assert mask.ticket is not None and mask.ticket.sparsity == pytest.approx(0.75, abs=0.02)
    assert masking.chosen_ticket(model) == mask.ticket and largest_removed(model) == 0.0
