"""Values, models and callbacks that DynamicSparsity refuses."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.callbacks import DynamicSparsity, KeepMask, RandomMask
from tests.callbacks import linear
from tests.callbacks.refusals import refused
from tests.masking.networks import compiled, mlp, unknown_length, wrapped


@pytest.mark.parametrize(
    "options",
    [{"grow": "both"}, {"fraction": 0.0}, {"fraction": 1.1}, {"every": 0}, {"every": 2.0}, {"stop": 0}],
    ids=str,
)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        DynamicSparsity(**options)


def test_a_model_of_which_nothing_is_removed_is_refused():
    for model in (dlth.wrap(mlp()), wrapped(remove=False)):
        refused(compiled(model), [DynamicSparsity(every=2)], "has no removed weights to exchange: put RandomMask")


def test_data_of_unknown_length_need_a_stop():
    refused(
        compiled(wrapped()), [DynamicSparsity(every=2)], "stop=None: must be given in steps", data=unknown_length(4)
    )


@pytest.mark.parametrize(
    ("granularity", "sentence"),
    [
        ("filter", "granularity=filter: does not fit fc1/kernel, whose mask keeps parts of such groups"),
        ("2:4", "granularity=2:4: cannot be combined with DynamicSparsity, whose masks change during training"),
        ("block:3x1", "granularity=block:3x1: does not fit fc1/kernel, whose number of inputs"),
        ("rows", "granularity=rows: must be one of"),
    ],
)
def test_a_granularity_that_does_not_fit_is_refused(granularity, sentence):
    refused(compiled(wrapped()), lambda: [DynamicSparsity(every=2, granularity=granularity)], sentence)


def test_an_optimizer_that_cannot_carry_the_hook_is_refused():
    refused(
        compiled(wrapped(), tf_keras.optimizers.legacy.SGD(0.1)),
        [DynamicSparsity(every=2)],
        "has no update step of its own",
    )
    refused(compiled(wrapped(), tf_keras.optimizers.SGD(0.1, use_ema=True)), [DynamicSparsity(every=2)], "use_ema=True")


@pytest.mark.parametrize(
    "other", [KeepMask, lambda: RandomMask(0.5, remove=True, dense_layers="none")], ids=["keep", "random"]
)
def test_a_callback_that_takes_its_changes_off_must_come_before_it(other):
    gradients = linear.drawn(1, 4, (12, 8))[2]
    model = linear.half()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, 0, dense_layers="none"), remove=True)
    second = other()
    sentence = f"callbacks={type(second).__name__}: must come before DynamicSparsity in the list"
    refused(model, [DynamicSparsity(every=2, stop=9), second], sentence, linear.batches(gradients))
    start = linear.state(model)
    after = linear.fit(model, gradients, other(), DynamicSparsity(fraction=0.9, every=2, stop=4))[-1]
    assert after.mask.sum() == 48 and not np.array_equal(after.mask, start.mask)
