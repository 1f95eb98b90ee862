"""A list of callbacks around `train_on_batch` is a `fit`: the same weights to the last bit, and the same end."""

from __future__ import annotations

from typing import Any

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import GradualMagnitude, KeepMask, RandomMask
from tests.callbacks.every_callback import CALLBACKS, EPOCHS, PER_EPOCH, difference, fit, network, quick_or_slow
from tests.masking.networks import batches, largest_removed

Lists = tf_keras.callbacks.CallbackList


def around(model: tf_keras.Model, callbacks: list[Any]) -> Lists:
    """Returns the list of callbacks of a loop, which has begun."""
    several = Lists(callbacks, model=model, epochs=EPOCHS, steps=PER_EPOCH)
    several.on_train_begin()
    return several


def epoch(model: tf_keras.Model, several: Lists, number: int) -> None:
    several.on_epoch_begin(number)
    for step, batch in enumerate(batches(PER_EPOCH)):
        several.on_train_batch_begin(step)
        logs = model.train_on_batch(*batch, return_dict=True)
        several.on_train_batch_end(step, logs)
        if model.stop_training:
            break
    several.on_epoch_end(number, {})


def looped(model: tf_keras.Model, callbacks: list[Any]) -> tf_keras.Model:
    several = around(model, callbacks)
    for number in range(EPOCHS):
        epoch(model, several, number)
        if model.stop_training:
            break
    several.on_train_end()
    return model


class Breaks(tf_keras.callbacks.Callback):
    """Interrupts training after a step."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        raise KeyboardInterrupt


class More(tf_keras.callbacks.Callback):
    """Trains on another batch after each."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.train_on_batch(*next(iter(batches(1))))


@pytest.mark.fast_cases("penalty")
@pytest.mark.slow_cases("random mask", "growth by gradient", "imp that rewinds to step 3", "early bird that settles")
@quick_or_slow("random mask", "penalty", "imp that rewinds to step 3", "growth by gradient")
def test_a_loop_ends_as_fit_does(name):
    ends = []
    for train in (looped, fit):
        model = network()
        ends.append(train(model, CALLBACKS[name](model)))
    assert difference(*ends) == [] and largest_removed(ends[0]) == 0.0
    assert masking.installed(ends[0]) is None and "make_train_function" not in vars(ends[0])


def test_so_it_does_in_a_graph():
    ends = []
    for train in (looped, fit):
        model = network(run_eagerly=False)
        ends.append(train(model, CALLBACKS["gradual"](model)))
    assert difference(*ends) == [] and largest_removed(ends[0]) == 0.0


def test_after_a_loop_whose_list_is_gone_training_is_plain():
    model = network()
    several = around(model, [RandomMask(0.5, remove=True)])
    epoch(model, several, 0)
    assert largest_removed(model) == 0.0 and masking.installed(model) is not None
    del several
    model.train_on_batch(*next(iter(batches(1))))
    assert masking.installed(model) is None and largest_removed(model) > 0.0


def test_another_list_ends_what_an_interrupted_one_has_left():
    model = network()
    first = around(model, [GradualMagnitude(0.5, every=1)])
    epoch(model, first, 0)
    second = around(model, CALLBACKS["straight through"](model))
    epoch(model, second, 1)
    second.on_train_end()
    assert masking.installed(model) is None and largest_removed(model) == 0.0
    del first


@pytest.mark.parametrize("more", [0, 1], ids=["none", "one each"])
def test_batches_that_a_callback_trains_during_fit_have_the_hook_too(more):
    model = network()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    model.fit(batches(3), verbose=0, callbacks=[KeepMask(), *[More()] * more])
    assert largest_removed(model) == 0.0 and masking.steps_made(model) == 3 + 3 * more


def test_batches_after_an_interrupted_fit_are_plain_though_its_list_lives_in_the_traceback():
    model = network()
    with pytest.raises(KeyboardInterrupt) as interruption:
        fit(model, [RandomMask(0.5, remove=True), Breaks()])
    model.train_on_batch(*next(iter(batches(1))))
    assert masking.installed(model) is None and largest_removed(model) > 0.0
    assert interruption.traceback


def test_a_loop_after_an_interrupted_fit_has_a_session_of_its_own():
    model = network()
    with pytest.raises(KeyboardInterrupt):
        fit(model, [RandomMask(0.5, remove=True), Breaks()])
    looped(model, [KeepMask()])
    assert masking.installed(model) is None and largest_removed(model) == 0.0
