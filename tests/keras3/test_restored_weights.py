"""Weights that another callback restores at the end of a `fit` of Keras 3: masks that move follow them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import keras
import pytest

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import DynamicSparsity, KeepMask, RandomMask, StraightThrough
from tests.keras3.networks import compiled, fit, mlp

CALLBACKS: dict[str, Callable[[], list[Any]]] = {
    "rigl": lambda: [RandomMask(0.75, remove=True), DynamicSparsity(every=3)],
    "set": lambda: [RandomMask(0.75, remove=True), DynamicSparsity("random", every=3)],
    "straight through": lambda: [StraightThrough(0.75)],
    "straight through within a mask": lambda: [KeepMask(), StraightThrough(0.75)],
}


class Restores(keras.callbacks.Callback):
    """Restores the weights of the first epoch in the end, as EarlyStopping(restore_best_weights=True) may do."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not epoch:
            self.first = self.model.get_weights()

    def on_train_end(self, logs: Any = None) -> None:
        self.model.set_weights(self.first)


@pytest.mark.fast_cases("rigl-before", "straight through-after")
@pytest.mark.parametrize("place", [0, 2], ids=["before", "after"])
@pytest.mark.parametrize("name", CALLBACKS)
def test_masks_that_move_follow_restored_weights_and_keep_no_more(name, place, caplog):
    model = compiled(mlp())
    if "within" in name:
        dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    callbacks = CALLBACKS[name]()
    callbacks.insert(place, Restores())
    with caplog.at_level(logging.WARNING, "dlth_tf"):
        fit(model, callbacks, epochs=5)
    assert not caplog.text
    for tensor in ("fc1/kernel", "fc2/kernel"):
        entry = masking.prunable_weights(model)[tensor]
        assert not entry.weight.numpy()[~entry.kept()].any()
        assert 1 - entry.kept().mean() >= 0.75
        assert (entry.kept() == entry.chosen()).all()
    dlth.strip(model)
