"""Models, optimizers, lengths and orders of callbacks that RSTPenalty refuses."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask, RandomMask, RSTPenalty
from tests.callbacks.transforming import chosen, penalty, refused, transform
from tests.masking.networks import (
    compiled,
    largest_removed,
    mlp,
    train,
    wrapped,
)

SGD = dlth.optimizers.SGD


def test_a_model_without_a_ticket_is_refused():
    refused(
        compiled(dlth.wrap(mlp())),
        [penalty()],
        "model=mlp: has no ticket yet: put callbacks.RandomMask before RSTPenalty",
    )


def test_a_model_that_is_not_wrapped_is_refused():
    refused(compiled(mlp()), [penalty()], "model=mlp: is not wrapped")


def test_a_random_mask_after_it_is_refused():
    refused(
        compiled(dlth.wrap(mlp())),
        [penalty(), RandomMask(0.5)],
        "has no ticket yet: put callbacks.RandomMask before RSTPenalty",
    )
    other = compiled(chosen())
    refused(
        other,
        [penalty(), RandomMask(0.5, seed=3)],
        "callbacks=RandomMask: must come before RSTPenalty in the list",
    )
    train(other, [RandomMask(0.5, seed=3), penalty()], epochs=3)
    assert masking.chosen_ticket(other) == dlth.random_ticket(other, 0.5, seed=3)


def test_a_keep_mask_after_it_is_refused_and_one_before_it_is_fine():
    model = wrapped(0.5)
    masking.choose(model, dlth.random_ticket(model, 0.8))
    refused(
        compiled(model),
        [penalty(), KeepMask()],
        "callbacks=KeepMask: must come before RSTPenalty in the list",
    )
    train(model, [KeepMask(), penalty()], epochs=3)
    assert masking.chosen_ticket(model).removed == 173 and largest_removed(model) == 0.0


@pytest.mark.fast_cases("5-3-4")
@pytest.mark.parametrize(("per_epoch", "epochs", "needed"), [(5, 3, 4), (1, 16, 17), (16, 1, 2)])
def test_too_few_epochs_are_refused_with_the_number_needed(per_epoch, epochs, needed):
    sentence = f"epochs={epochs}: are too few: 17 steps of transformation need {needed} epochs of {per_epoch} steps"
    refused(compiled(chosen()), [penalty()], sentence, per_epoch, epochs)
    transform(compiled(chosen()), penalty(), per_epoch, needed)


@pytest.mark.fast_cases("11-4-3")
@pytest.mark.parametrize(("per_epoch", "execution", "fits"), [(20, 4, 1), (11, 4, 3), (20, 20, 17)], ids=str)
def test_steps_per_execution_that_does_not_divide_is_refused_with_one_that_does(per_epoch, execution, fits):
    model = compiled(chosen(), steps_per_execution=execution)
    last = 17 % per_epoch
    sentence = (
        f"steps_per_execution={execution}: does not divide the {last} of 17 steps .* "
        f"use {fits}, or shorten_last_execution=True"
    )
    refused(model, [penalty()], sentence, per_epoch)
    transform(compiled(chosen(), steps_per_execution=fits), penalty(), per_epoch)


def test_steps_per_execution_that_keras_would_change_is_refused():
    sentence = "steps_per_execution=auto: must be a number here"
    refused(compiled(chosen(), steps_per_execution="auto"), [penalty()], sentence)


def test_a_legacy_optimizer_is_refused():
    model = compiled(chosen(), tf_keras.optimizers.legacy.SGD(0.1))
    refused(model, [penalty()], "has no update step of its own to hook into")


def test_averaged_weights_are_refused():
    refused(
        compiled(chosen(), SGD(0.1, use_ema=True)),
        [penalty()],
        "use_ema=True would write averages over removed weights",
    )


def test_an_optimizer_that_made_steps_already_is_refused():
    model = compiled(chosen())
    train(model, [])
    refused(
        model,
        [penalty()],
        "optimizer=6 steps old: RSTPenalty starts from a fresh optimizer: compile again, or pass resume=True",
    )


@pytest.mark.parametrize(
    "options",
    [{"schedule": "y"}, {"step": 0.0}, {"every": 0}, {"limit": -1.0}, {"hold_steps": -1}],
    ids=lambda o: next(iter(o)),
)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        RSTPenalty(**options)
