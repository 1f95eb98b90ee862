"""RSTPenalty ends after exactly its number of steps."""

from __future__ import annotations

import pytest

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import RSTPenalty
from tests.callbacks.transforming import chosen, penalty, transform
from tests.masking.networks import (
    batches,
    compiled,
    kept_whole,
    largest_removed,
    same,
    unknown_length,
    watch,
    weights,
)


@pytest.mark.fast_cases("1-1", "7-3", "10-20")
@pytest.mark.parametrize(
    ("per_epoch", "execution"),
    [(5, 1), (1, 1), (40, 1), (17, 17), (7, 3), (10, 20)],
)
def test_it_ends_after_exactly_its_steps_and_removes(per_epoch, execution):
    model = chosen()
    callback = penalty(shorten_last_execution=True)
    seen = watch(model)
    history = transform(compiled(model, steps_per_execution=execution), callback, per_epoch)
    assert int(model.optimizer.iterations) == int(seen.steps) == 17
    assert len(history.epoch) == callback.epochs(per_epoch) == -(-17 // per_epoch)
    assert largest_removed(model) == 0.0 and not kept_whole(model)
    assert int(model._steps_per_execution) == execution and masking.installed(model) is None
    dlth.strip(model)


def test_more_epochs_than_needed_make_no_more_steps():
    model = compiled(chosen())
    history = transform(model, penalty(), epochs=50)
    assert int(model.optimizer.iterations) == 17 and len(history.epoch) == 4


@pytest.mark.fast_cases("4")
@pytest.mark.parametrize("execution", [3, 4, 20])
def test_the_length_of_an_execution_changes_no_bit_of_the_weights(execution):
    outcomes = []
    for steps in (1, execution):
        model = compiled(chosen(), steps_per_execution=steps)
        transform(model, penalty(shorten_last_execution=True), per_epoch=10)
        outcomes.append(weights(model))
    assert same(*outcomes)


@pytest.mark.fast_cases("9-{'block_loss_grad': True}", "40-{}")
@pytest.mark.parametrize("options", [{}, {"block_loss_grad": True}], ids=str)
@pytest.mark.parametrize("length", [9, 40])
def test_data_of_unknown_length_are_used_to_the_last_step(length, options):
    outcomes = []
    for data in (unknown_length(length), batches(length)):
        model = compiled(chosen())
        history = model.fit(data, epochs=2, verbose=0, callbacks=[penalty(**options)]).history
        assert int(model.optimizer.iterations) == 17 and largest_removed(model) == 0.0
        outcomes.append((weights(model), history["penalty"]))
    assert same(outcomes[0][0], outcomes[1][0]) and outcomes[0][1] == outcomes[1][1]


def test_data_of_unknown_length_that_end_too_early_remove_nothing():
    model = compiled(chosen())
    with pytest.raises(RuntimeError, match="ended after 9 of 17 steps: nothing was removed"):
        model.fit(unknown_length(9), epochs=1, verbose=0, callbacks=[penalty()])
    assert kept_whole(model)


@pytest.mark.parametrize(("epochs", "per_epoch"), [(4, 5), (1, 1), (3, 18)])
def test_a_transformation_for_epochs_takes_them_and_removes(epochs, per_epoch):
    callback = RSTPenalty.for_epochs(epochs, per_epoch)
    assert (callback.steps, callback.epochs(per_epoch)) == (epochs * per_epoch, epochs)
    model = compiled(chosen())
    history = transform(model, callback, per_epoch, epochs=epochs)
    assert int(model.optimizer.iterations) == epochs * per_epoch and largest_removed(model) == 0.0
    assert history.history["penalty"][-1] > 1


def test_a_transformation_for_epochs_takes_the_other_options_too():
    callback = RSTPenalty.for_epochs(4, 5, schedule="x^2", limit=0.5, remove_at_end=False)
    assert (callback.penalty.schedule, callback.penalty.limit, callback.remove_at_end) == ("x^2", 0.5, False)


@pytest.mark.parametrize(("arguments", "name"), [((0, 5), "epochs"), ((4, 0), "steps_per_epoch"), ((2.5, 5), "epochs")])
def test_a_number_of_epochs_or_steps_out_of_range_is_refused(arguments, name):
    with pytest.raises(dlth.BadInput, match=rf"^{name}="):
        RSTPenalty.for_epochs(*arguments)


@pytest.mark.parametrize("option", [{"step": 0.1}, {"every": 2}, {"hold_steps": 3}], ids=str)
def test_a_number_that_the_length_of_a_transformation_decides_is_refused(option):
    with pytest.raises(
        dlth.BadInput, match=rf"^{next(iter(option))}=.*: cannot be given with for_epochs, whose length"
    ):
        RSTPenalty.for_epochs(4, 5, **option)


def test_a_penalty_shows_its_schedule_and_its_length():
    callback = RSTPenalty(step=0.25, every=2, limit=0.5, hold_steps=12)
    assert repr(callback) == "RSTPenalty(schedule='x', step=0.25, every=2, limit=0.5, hold_steps=12): 17 steps"
