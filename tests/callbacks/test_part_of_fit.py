"""A `fit` that is refused before its first step leaves the model as it was, in both Kerases."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import IMP, DynamicSparsity, EarlyBird, GradualMagnitude, RandomMask, RSTPenalty, StraightThrough

KERASES = pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras3", "keras2"])


def compiled(library: Any) -> Any:
    """Returns 6 -> 10 -> 8 -> 3 of a Keras, with a chosen ticket of which the weights are removed."""
    names = {"a": 10, "b": 8, "c": 3}
    model = library.Sequential(
        [library.Input((6,)), *(library.layers.Dense(n, name=name) for name, n in names.items())]
    )
    model = dlth.wrap(model)
    model.compile(library.optimizers.SGD(0.05), "mse")
    return model


def fit(model: Any, *callbacks: Any, **options: Any) -> Any:
    return model.fit(np.ones((16, 6)), np.ones((16, 3)), batch_size=4, verbose=0, callbacks=list(callbacks), **options)


def state(model: Any) -> dict[str, np.ndarray]:
    entries = masking.prunable_weights(model).items()
    masks = {f"{name} kept": np.array(entry.kept()) for name, entry in entries}
    tickets = {f"{name} chosen": np.array(entry.chosen()) for name, entry in entries}
    return {name: np.array(value) for name, value in masking.weight_arrays(model).items()} | masks | tickets


def assert_unchanged(model: Any, before: dict[str, np.ndarray]) -> None:
    after = state(model)
    assert after.keys() == before.keys() and masking.installed(model) is None
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


class Raises(keras.callbacks.Callback):
    """Looks like one of the user's own, and raises in the first epoch, after the first step."""

    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


REFUSED = {
    "too few epochs": lambda: [IMP(0.9, rounds=3, epochs_per_round=2)],
    "too few steps": lambda: [GradualMagnitude(0.9)],
    "below the ticket": lambda: [GradualMagnitude(0.3, every=1)],
    "last epoch": lambda: [EarlyBird(0.9, last_epoch=9)],
    "two that change the step": lambda: [DynamicSparsity(every=2), StraightThrough(0.9)],
    "no steps for the penalty": lambda: [RSTPenalty(step=0.1, every=1, hold_steps=99)],
}


@pytest.mark.fast_cases(
    "too few epochs-keras3", "too few steps-keras2", "below the ticket-keras3", "two that change the step-keras2"
)
@KERASES
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_puts_back_what_callbacks_before_it_have_changed(name, library):
    model = compiled(library)
    if name == "below the ticket":
        dlth.apply_ticket(model, dlth.random_ticket(model, 0.25, 5), remove=True)
    before = state(model)
    with pytest.raises(BadInput):
        fit(model, RandomMask(0.5, remove=True), *REFUSED[name](), epochs=2)
    assert_unchanged(model, before)
    fit(model, RandomMask(0.5, remove=True), epochs=1)
    assert masking.chosen_ticket(model).sparsity == 0.5


@KERASES
def test_a_refusal_when_the_first_epoch_begins_puts_it_back_too(library):
    model = compiled(library)
    before = state(model)
    with pytest.raises(BadInput, match="initial_epoch"):
        fit(model, RandomMask(0.5, remove=True), IMP(0.75, rounds=2), epochs=3, initial_epoch=1)
    assert_unchanged(model, before)


@KERASES
def test_an_error_after_the_first_step_puts_nothing_back(library):
    callback = Raises() if library is keras else type("Raises", (tf_keras.callbacks.Callback,), dict(vars(Raises)))()
    model = compiled(library)
    with pytest.raises(KeyboardInterrupt):
        fit(model, RandomMask(0.5, remove=True), callback)
    assert masking.chosen_ticket(model).sparsity == 0.5
    masking.check_removed(model)
    with pytest.raises(BadInput, match="too few"):
        fit(model, IMP(0.9, rounds=3), epochs=1)
    masking.check_removed(model)
    assert masking.chosen_ticket(model).sparsity == 0.5
