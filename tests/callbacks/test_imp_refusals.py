"""Values, models and optimizers that IMP refuses."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.callbacks import IMP
from tests.callbacks.refusals import refused
from tests.masking.networks import (
    compiled,
    mlp,
    train,
    wrapped,
)


@pytest.mark.parametrize(
    "options",
    [{"rounds": 0}, {"epochs_per_round": 0}, {"rewind_step": -1}, {"rewind_step": 1.0}, {"rounds": True}],
    ids=str,
)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        IMP(0.5, **options)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: IMP(0.5, 5, 1), "epochs=4: are too few: 5 rounds of 1 and a finetune need 6 or more"),
        (lambda: IMP(0.5, 2, 1, rewind_step=6), "rewind_step=6: must be below 6, the steps of a round"),
        (lambda: IMP(1.0, 2), "sparsity=1.0"),
        (lambda: IMP(0.5, 2, granularity="block:5x1"), "granularity=block:5x1: does not fit fc1/kernel"),
        (lambda: IMP(0.5, 2, allocation="even"), "allocation=even"),
        (lambda: IMP(0.5, 2, dense_layers="fc9"), "dense_layers=fc9"),
    ],
    ids=["epochs", "rewind_step", "sparsity", "granularity", "allocation", "dense_layers"],
)
def test_what_does_not_fit_is_refused(build, sentence):
    refused(compiled(dlth.wrap(mlp())), lambda: [build()], sentence, epochs=4)


def test_a_used_optimizer_and_one_that_cannot_carry_the_hook_are_refused():
    model = compiled(dlth.wrap(mlp()), run_eagerly=True)
    train(model, [], steps=1)
    refused(model, [IMP(0.5, 1)], "optimizer=used before: IMP starts from a fresh optimizer: compile again", epochs=2)
    refused(
        compiled(dlth.wrap(mlp()), tf_keras.optimizers.legacy.SGD(0.1)), [IMP(0.5, 1)], "has no update step", epochs=2
    )


def test_a_ticket_that_leaves_too_little_is_refused_at_the_start_and_not_after_a_round():
    refused(
        compiled(wrapped(0.9)),
        [IMP(0.5, 2)],
        "sparsity=0.5: keeps 48 of the 96 groups of fc1/kernel, but only 9 of them have not been removed yet",
        epochs=3,
    )
