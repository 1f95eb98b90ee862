"""ExactSteps: the number of steps is exact wherever the last step falls."""

from __future__ import annotations

import pytest

from dlth_tf import BadInput
from dlth_tf.callbacks import KeepMask
from dlth_tf.callbacks.exact_steps import ExactSteps
from tests.masking.networks import batches, compiled, mlp, same, train, unknown_length, watch, weights, wrapped


@pytest.mark.fast_cases("17-7-3", "1-4-3", "12-4-4")
@pytest.mark.parametrize(
    ("steps", "per_epoch", "execution"),
    [(17, 5, 1), (17, 7, 3), (17, 10, 20), (17, 20, 4), (1, 4, 3), (12, 4, 4), (19, 10, 7)],
)
def test_the_count_is_exact(steps, per_epoch, execution):
    model = wrapped()
    seen = watch(model)
    compiled(model, steps_per_execution=execution)
    epochs = -(-steps // per_epoch) + 2
    history = model.fit(batches(per_epoch), epochs=epochs, verbose=0, callbacks=[ExactSteps(steps)])
    assert int(model.optimizer.iterations) == int(seen.steps) == steps
    assert len(history.epoch) == -(-steps // per_epoch)
    assert int(model._steps_per_execution) == execution, "the model's own number is restored"


def test_without_it_a_fit_ends_with_its_epoch():
    model = compiled(mlp(), steps_per_execution=3)
    model.fit(batches(7), epochs=3, verbose=0)
    assert int(model.optimizer.iterations) == 21


def test_the_length_of_an_execution_changes_no_bit_of_the_weights():
    outcomes = []
    for execution in (1, 4, 20):
        model = compiled(wrapped(), steps_per_execution=execution)
        model.fit(batches(10), epochs=9, verbose=0, callbacks=[KeepMask(), ExactSteps(17)])
        outcomes.append(weights(model))
    assert same(outcomes[0], outcomes[1]) and same(outcomes[0], outcomes[2])


@pytest.mark.fast_cases("5")
@pytest.mark.parametrize("length", [5, 40])
def test_data_of_unknown_length_end_exactly_too(length):
    outcomes = []
    for data in (unknown_length(length), batches(length)):
        model = compiled(wrapped())
        model.fit(data, epochs=9, verbose=0, callbacks=[KeepMask(), ExactSteps(17)])
        assert int(model.optimizer.iterations) == 17
        outcomes.append(weights(model))
    assert same(*outcomes)


def test_keras_counts_a_step_more_where_data_of_unknown_length_end():
    model = compiled(mlp())
    model.fit(unknown_length(5), epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 11, "the twin: ExactSteps undoes this step"


def test_it_goes_on_from_where_the_optimizer_stands():
    model = compiled(mlp(), steps_per_execution=2)
    train(model, [ExactSteps(5)])
    train(model, [ExactSteps(9)], epochs=5)
    assert int(model.optimizer.iterations) == 9


def test_an_optimizer_that_has_made_the_steps_is_refused():
    model = compiled(mlp())
    train(model, [ExactSteps(6)])
    before = weights(model)
    with pytest.raises(BadInput, match="optimizer=6 steps old: has made all 6 steps already: there is nothing to fit"):
        train(model, [ExactSteps(6)])
    assert same(weights(model), before)


def test_steps_per_execution_that_keras_would_change_is_refused():
    model = compiled(mlp(), steps_per_execution="auto")
    with pytest.raises(BadInput, match="steps_per_execution=auto: must be a number here"):
        train(model, [ExactSteps(3)])
