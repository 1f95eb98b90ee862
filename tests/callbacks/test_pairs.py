"""Two callbacks in one `fit`, or in one after the other: removed weights stay removed, or the pair is refused."""

from __future__ import annotations

import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import IMP, DynamicSparsity, EarlyBird, GradualMagnitude, KeepMask, RandomMask, StraightThrough
from tests.callbacks.every_callback import EPOCHS, fit, network
from tests.callbacks.refusals import refused
from tests.callbacks.transforming import penalty
from tests.masking.networks import compiled

INSIDE = {
    "early bird": lambda sparsity, **options: EarlyBird(sparsity, **options),
    "gradual": lambda sparsity, **options: GradualMagnitude(sparsity, every=2, **options),
    "imp": lambda sparsity, **options: IMP(sparsity, rounds=2, epochs_per_round=2, **options),
    "straight through": lambda sparsity, **options: StraightThrough(sparsity, **options),
}
EXCLUSIVE = {**INSIDE, "dynamic": lambda sparsity: DynamicSparsity(every=2), "rst": lambda sparsity: penalty(21)}


def kept(model):
    return {name: entry.kept() for name, entry in masking.prunable_weights(model).items()}


@pytest.mark.fast_cases("gradual-weight-one fit", "straight through-filter-one fit")
@pytest.mark.slow_cases("early bird-weight-one fit", "imp-weight-two fits", "gradual-filter-two fits")
@pytest.mark.parametrize("fits", [1, 2], ids=["one fit", "two fits"])
@pytest.mark.parametrize("granularity", ["weight", "filter"])
@pytest.mark.parametrize("name", INSIDE)
def test_a_callback_keeps_only_weights_of_the_ticket_before_it(name, granularity, fits):
    model = network()
    first = RandomMask(0.5, seed=3, remove=True, granularity=granularity)
    second = INSIDE[name](0.8, granularity=granularity)
    for callbacks in ([first, second],) if fits == 1 else ([first], [second]):
        compiled(model, run_eagerly=True)
        fit(model, callbacks)
    assert first.ticket is not None
    outside = {key: mask & ~first.ticket[key] for key, mask in kept(model).items() if key in first.ticket}
    assert not any(mask.any() for mask in outside.values()), "nothing outside the ticket before is kept"
    masking.check_removed(model)
    wanted = dlth.random_ticket(model, 0.8, granularity=granularity)
    assert {key: mask.sum() for key, mask in kept(model).items() if key in wanted} == {
        key: mask.sum() for key, mask in wanted.items()
    }


@pytest.mark.fast_cases("gradual", "straight through")
@pytest.mark.parametrize("name", INSIDE)
def test_weights_outside_the_ticket_are_zero_after_every_step(name):
    import tf_keras

    seen = []

    class Watch(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights = {key: entry.weight.numpy() for key, entry in masking.prunable_weights(self.model).items()}
            seen.append(any(np.any(weights[key][~mask]) for key, mask in first.ticket.items()))

    first = RandomMask(0.5, seed=3, remove=True)
    fit(network(), [first, INSIDE[name](0.8), Watch()])
    assert len(seen) == 24 and not any(seen)


@pytest.mark.parametrize("name", INSIDE)
def test_a_sparsity_below_that_of_the_ticket_is_refused_with_the_name_of_the_callbacks_own_argument(name):
    model = network()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.9), remove=True)
    sentence = "sparsity=0.5: keeps 48 of the 96 groups of fc1/kernel, but only 9 of them have not been removed yet"
    refused(model, [INSIDE[name](0.5)], sentence, epochs=EPOCHS)


@pytest.mark.parametrize("name", INSIDE)
def test_groups_that_the_ticket_cuts_through_are_refused(name):
    model = network()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    sentence = "granularity=filter: does not fit fc1/kernel, whose mask keeps parts of such groups"
    refused(model, [INSIDE[name](0.8, granularity="filter")], sentence, epochs=EPOCHS)


def test_the_first_rounds_of_imp_remove_nothing_until_they_are_sparser_than_the_ticket():
    model = network()
    imp = IMP(0.95, rounds=2, epochs_per_round=2)
    fit(model, [RandomMask(0.9, remove=True), imp])
    assert [ticket.removed for ticket in imp.tickets] == [
        dlth.random_ticket(model, 0.9).removed,
        dlth.random_ticket(model, 0.95).removed,
    ]


def test_straight_through_within_a_ticket_still_trains_what_is_free():
    """The negative twin of staying removed: weights of the ticket can leave the mask and return."""
    model = network()
    first = RandomMask(0.5, seed=3, remove=True)
    fit(model, [first, StraightThrough(0.8)], epochs=1)
    before = kept(model)
    model = network()
    fit(model, [RandomMask(0.5, seed=3, remove=True), StraightThrough(0.8)], epochs=12)
    assert any(np.any(mask & ~before[key]) for key, mask in kept(model).items())


@pytest.mark.fast_cases("imp-rst", "dynamic-early bird")
@pytest.mark.slow_cases(
    "early bird-early bird",
    "gradual-straight through",
    "imp-imp",
    "straight through-dynamic",
    "dynamic-rst",
    "rst-gradual",
)
@pytest.mark.parametrize("one", EXCLUSIVE)
@pytest.mark.parametrize("other", EXCLUSIVE)
def test_two_callbacks_that_change_the_step_are_refused_with_both_names(one, other):
    model = network()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=one in ("dynamic",) or other == "dynamic")
    if "rst" in (one, other) and "dynamic" in (one, other):
        pytest.skip("one needs a ticket that is removed and the other one that is not")
    first, second = EXCLUSIVE[one](0.8), EXCLUSIVE[other](0.8)
    names = f"{type(first).__name__} and {type(second).__name__}"
    with pytest.raises(BadInput, match=f"^callbacks={names}: cannot be combined in one fit, since each changes"):
        fit(model, [first, second])
    assert masking.installed(model) is None
    compiled(model, run_eagerly=True)
    fit(model, [KeepMask()] if "dynamic" in (one, other) else [EXCLUSIVE["gradual"](0.8)])


@pytest.mark.fast_cases("<lambda>0-imp", "<lambda>1-gradual", "KeepMask-rst")
@pytest.mark.parametrize("name", EXCLUSIVE)
@pytest.mark.parametrize("later", [lambda: RandomMask(0.9, remove=True), lambda: RandomMask(0.9), KeepMask])
def test_what_keeps_a_mask_is_refused_after_what_changes_the_step(name, later):
    model = network()
    ticket = dlth.random_ticket(model, 0.5)
    dlth.apply_ticket(model, ticket, remove=True)
    if name == "rst":
        masking.choose(model, dlth.random_ticket(model, 0.8))
    first, second = EXCLUSIVE[name](0.8), later()
    sentence = f"^callbacks={type(second).__name__}: must come before {type(first).__name__} in the list$"
    with pytest.raises(BadInput, match=sentence):
        fit(model, [first, second])
    assert masking.installed(model) is None


def test_a_hook_that_something_else_took_off_is_told_as_that():
    import tf_keras

    model = network()
    takes_off = tf_keras.callbacks.LambdaCallback(on_train_begin=lambda logs: masking.uninstall(model))
    why = "callbacks=GradualMagnitude: needs its hook .* until fit ends, which something has replaced or removed"
    with pytest.raises(BadInput, match=why):
        fit(model, [INSIDE["gradual"](0.8), takes_off])
