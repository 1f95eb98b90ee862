"""`fit(initial_epoch=...)`: every callback plans for the epochs that are really trained, or refuses at the start."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import IMP, DynamicSparsity, EarlyBird, GradualMagnitude, RandomMask
from tests.callbacks.every_callback import CALLBACKS, EPOCHS, PER_EPOCH, difference, fit, network, quick_or_slow, said
from tests.callbacks.refusals import refused
from tests.callbacks.transforming import penalty
from tests.masking.networks import batches, largest_removed, unknown_length


def started_at(name: str, first: int, **options) -> tf_keras.Model:
    model = network(**options)
    return fit(model, CALLBACKS[name](model), initial_epoch=first, epochs=first + EPOCHS)


@pytest.mark.fast_cases("penalty")
@pytest.mark.slow_cases("gradual", "random growth", "imp", "early bird that settles")
@quick_or_slow("penalty", "gradual", "imp", "early bird at the last epoch")
def test_a_fit_that_starts_at_a_later_epoch_equals_one_of_as_many_epochs(name):
    straight, later = started_at(name, 0), started_at(name, 5)
    assert difference(straight, later) == [] and largest_removed(later) == 0.0
    removed = [float((~entry.kept()).mean()) for entry in masking.prunable_weights(later).values()]
    assert removed[0] >= 0.49 and removed[-1] == 0.0


@pytest.mark.slow_cases("keep mask", "imp that rewinds to step 3", "growth by gradient")
@quick_or_slow("gradual")
def test_so_it_does_with_a_graph_and_long_executions(name):
    options = {"run_eagerly": False, "steps_per_execution": 4}
    assert difference(started_at(name, 0, **options), started_at(name, 3, **options)) == []


def one_epoch(model: tf_keras.Model, callbacks: list, sentence: str, data=None) -> None:
    """Checks that the last of six epochs alone is refused, and that nothing changes."""
    fit_options = {"initial_epoch": EPOCHS - 1}
    original = model.fit
    model.fit = lambda *arguments, **options: original(*arguments, **options, **fit_options)
    refused(model, callbacks, sentence, data=batches(PER_EPOCH) if data is None else data, epochs=EPOCHS)


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [
        (
            lambda: [GradualMagnitude(0.9, begin=2, end=12, every=2)],
            "end=12: is too late: the last pruning is at step 12, and this fit ends after 4",
        ),
        (
            lambda: [IMP(0.8, rounds=2, epochs_per_round=2)],
            "epochs=6: are too few: 2 rounds of 2 and a finetune need 5 or more, and initial_epoch=5 leaves 1",
        ),
        (
            lambda: [RandomMask(0.5), penalty(17)],
            "epochs=6: are too few: 17 steps of transformation need 5 epochs of 4 steps, and initial_epoch is 5",
        ),
        (lambda: [EarlyBird(0.5, last_epoch=7)], "last_epoch=7: must be at most 6, the number of epochs"),
    ],
    ids=["gradual", "imp", "penalty", "early bird"],
)
def test_what_the_epochs_that_are_left_cannot_hold_is_refused(callbacks, sentence):
    model = network()
    if "penalty" in sentence or "transformation" in sentence:
        dlth.apply_ticket(model, dlth.random_ticket(model, 0.5))
    one_epoch(model, callbacks, sentence)


def test_an_early_bird_that_is_due_already_draws_at_the_first_epoch():
    model = network()
    bird = EarlyBird(0.5, last_epoch=2, threshold=0.0)
    fit(model, [bird], initial_epoch=4)
    assert bird.drawn_at == 5 and bird.ticket == masking.chosen_ticket(model) and largest_removed(model) == 0.0


def test_exchanges_end_at_three_quarters_of_the_epochs_that_are_trained():
    model = network()
    exchanges = DynamicSparsity(every=2)
    fit(model, [RandomMask(0.8, remove=True), exchanges], initial_epoch=3)
    assert exchanges._planned == [2, 4, 6, 8], "of 12 steps"


def test_steps_that_are_given_count_from_a_fresh_optimizer_whatever_the_epoch(caplog):
    model = network()
    fit(model, [GradualMagnitude(0.9, begin=2, end=6, every=2)], initial_epoch=4)
    assert [int(entry.kept().sum()) for entry in masking.prunable_weights(model).values()] == [9, 12, 30]
    assert not said(caplog)


@pytest.mark.parametrize("callback", [GradualMagnitude(0.9), DynamicSparsity()], ids=["gradual", "dynamic"])
def test_data_of_unknown_length_need_steps_at_a_later_epoch_too(callback):
    model = network()
    if isinstance(callback, DynamicSparsity):
        dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    one_epoch(model, [callback], "must be given in steps", data=unknown_length(4))
