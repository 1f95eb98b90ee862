"""GradualMagnitude against tf-mot's own run of the schedule and against NumPy, and its exact counts."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import GradualMagnitude
from dlth_tf.core import parse_granularity, removed_count, top_k_mask
from tests.callbacks import linear
from tests.callbacks.linear import Momentum
from tests.callbacks.refusals import Breaks
from tests.masking.networks import largest_removed, mlp, watch

KERNEL, _, GRADIENTS = linear.drawn(0, 12, (12, 8))
SCHEDULE = {"begin": 2, "end": 8, "every": 2, "dense_layers": "none"}


def stock(sparsity: float, begin: int, end: int, every: int, steps: int) -> list[int]:
    """Returns the number of weights that tf-mot's own wrapper keeps after every step."""
    decay = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, begin, end, power=3, frequency=every)
    inner = tf_keras.layers.Dense(8, name="fc")
    model = tf_keras.Sequential([tf_keras.layers.Input((12,)), tfmot.sparsity.keras.prune_low_magnitude(inner, decay)])
    model.compile(tf_keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    kept: list[int] = []
    note = tf_keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_: kept.append(int(model.layers[0].pruning_vars[0][1].numpy().sum()))
    )
    model.fit(linear.batches(GRADIENTS[:steps]), verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep(), note])
    return kept


@pytest.mark.fast_cases("1-10-3")
@pytest.mark.parametrize(("begin", "end", "every"), [(2, 8, 2), (1, 10, 3), (4, 4, 2)])
def test_after_every_step_as_many_stay_as_in_tf_mot(begin, end, every):
    callback = GradualMagnitude(0.9, begin=begin, end=end, every=every, dense_layers="none")
    ours = [int(state.mask.sum()) for state in linear.fit(linear.layer(KERNEL), GRADIENTS, callback)]
    theirs = stock(0.9, begin, end, every, 12) if begin < end else [96] * 3 + [10] * 9
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1, "tf-mot rounds; we never remove too few"
    assert np.array_equal(np.flatnonzero(np.diff(ours)), np.flatnonzero(np.diff(theirs))), "at the same steps"
    assert ours[-1] == 96 - removed_count(96, 0.9) == 9 and len(set(theirs)) > 1
    shifted = [96, *ours[:-1]]
    assert max(abs(a - b) for a, b in zip(shifted, theirs, strict=True)) > 1, "the twin: a step later would be seen"


def replay(granularity: str, kept: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns masks and kernels after every step; after steps 1, 3, 5 and 7 the groups of largest mean |w| stay."""
    sgd = Momentum(KERNEL)
    parsed = parse_granularity(granularity)
    states = []
    mask = np.ones(KERNEL.shape, bool)
    for step, gradient in enumerate(GRADIENTS):
        sgd.step(gradient)
        if step in (1, 3, 5, 7):
            scores = parsed.pool(np.abs(sgd.kernel * mask))
            mask = parsed.expand(top_k_mask(scores, kept[step // 2]), KERNEL.shape)
        sgd.kernel = sgd.kernel * mask
        states.append((mask, sgd.kernel))
    return states


@pytest.mark.parametrize(
    ("granularity", "allocation", "kept"),
    [  # s = .75 (1 - (1 - u)^3) at u = 0, 1/3, 2/3, 1: 0, .5278, .7222, .75
        ("weight", "uniform", [96, 96 - 51, 96 - 70, 24]),
        ("filter", "uniform", [8, 8 - 5, 8 - 6, 2]),
        ("block:2x2", {"fc": 0.5}, [24, 24 - 9, 24 - 12, 12]),
    ],
)
def test_the_smallest_go_and_never_return(granularity, allocation, kept):
    tf_keras.backend.set_floatx("float64")
    callback = GradualMagnitude(0.75, granularity=granularity, allocation=allocation, **SCHEDULE)
    model = linear.layer(KERNEL)
    states = linear.fit(model, GRADIENTS, callback)
    for step, (state, (mask, kernel)) in enumerate(zip(states, replay(granularity, kept), strict=True)):
        assert np.array_equal(state.mask, mask), step
        np.testing.assert_allclose(state.kernel, kernel, rtol=0, atol=1e-12)
        assert step == 0 or not (state.mask & ~states[step - 1].mask).any()
    assert np.array_equal(masking.chosen_ticket(model)[linear.NAME], states[-1].mask)
    other = replay(granularity, [*kept[:3], kept[3] - 1])
    assert not np.array_equal(states[-1].mask, other[-1][0]), "the twin: one group fewer is seen"


def test_without_begin_and_end_it_prunes_from_a_quarter_to_half_of_the_fit():
    callback = GradualMagnitude(0.75)
    callback.set_model(mlp())
    callback.set_params({"epochs": 4, "steps": 10})
    assert callback.steps() == (10, 20)
    callback.set_params({"epochs": 1, "steps": 1})
    assert callback.steps() == (1, 1)
    callback = GradualMagnitude(0.8)
    callback.set_model(mlp())
    assert [round(callback.share(step, 10, 30), 6) for step in (10, 20, 30)] == [0, 0.875, 1]


XLA = pytest.param({"jit_compile": True}, marks=pytest.mark.slow)


@functools.cache
def plain() -> linear.State:
    return outcome()


def outcome(data=None, optimizer=None, **options) -> linear.State:
    """Returns the state after two epochs of 6 steps."""
    model = linear.layer(KERNEL, None, optimizer, **options)
    seen = watch(model)
    model.fit(
        linear.batches(GRADIENTS[:6]) if data is None else data,
        epochs=2,
        verbose=0,
        callbacks=[GradualMagnitude(0.75, **SCHEDULE)],
    )
    assert float(seen.largest) == 0.0 == largest_removed(model) and masking.installed(model) is None
    state = linear.state(model)
    assert state.mask.sum() == 24 == masking.chosen_ticket(model).size - masking.chosen_ticket(model).removed
    return state


def equal(one: linear.State, other: linear.State, atol: float = 0) -> bool:
    return np.array_equal(one.mask, other.mask) and np.allclose(one.kernel, other.kernel, rtol=0, atol=atol)


@pytest.mark.fast_cases("{'steps_per_execution': 5}")
@pytest.mark.parametrize("options", [{"steps_per_execution": 5}, {"run_eagerly": True}, XLA], ids=str)
def test_other_ways_to_run_give_the_same(options):
    assert equal(outcome(**options), plain(), 0 if "steps_per_execution" in options else 1e-6)


def test_data_of_unknown_length_are_pruned_at_the_same_steps():
    known = linear.batches(GRADIENTS[:6])
    assert equal(
        outcome(tf.data.Dataset.from_generator(lambda: iter(known), output_signature=known.element_spec)), plain()
    )


def test_bfloat16_reaches_the_exact_count():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    outcome()


def test_steps_that_a_loss_scale_skips_do_not_cost_a_pruning():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(tf_keras.optimizers.SGD(0.1), initial_scale=2.0**22)
    model = linear.layer(KERNEL, None, optimizer)
    states = linear.fit(model, GRADIENTS, GradualMagnitude(0.75, begin=1, end=1, dense_layers="none"))
    assert np.array_equal(states[0].kernel, KERNEL.astype("float32")), "the step that was due was skipped"
    assert states[-1].mask.sum() == 24


def test_a_mask_that_keeps_less_already_is_left_alone():
    mask = np.arange(96).reshape(12, 8) % 4 == 0
    states = linear.fit(linear.layer(KERNEL, mask), GRADIENTS, GradualMagnitude(0.75, **SCHEDULE))
    assert all(np.array_equal(state.mask, mask) for state in states)
    with pytest.raises(BadInput, match=r"sparsity=0\.5: keeps 48 of the 96 groups of fc/kernel, but only 24 of them"):
        linear.fit(linear.layer(KERNEL, mask), GRADIENTS, GradualMagnitude(0.5, **SCHEDULE))


def test_a_fit_after_one_that_broke_off_works():
    model = linear.layer(KERNEL)
    callback = GradualMagnitude(0.75, **SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        linear.fit(model, GRADIENTS, callback, Breaks(5))
    assert int(model.optimizer.iterations) == 5
    assert linear.fit(model, GRADIENTS[5:], callback)[-1].mask.sum() == 24 and masking.installed(model) is None


def test_the_last_pruning_may_be_the_last_thing_that_happens():
    callback = GradualMagnitude(0.75, begin=2, end=6, every=2, dense_layers="none")
    states = linear.fit(linear.layer(KERNEL), GRADIENTS[:6], callback)
    assert [int(state.mask.sum()) for state in states][-2:] == [33, 24]


def test_erk_ends_with_the_counts_of_a_ticket_though_an_earlier_budget_rounds_a_tensor_further_down():
    widths = [
        3,
        6,
        7,
        4,
        7,
        3,
    ]  # found by search: l0 would keep 4 weights at step 11, and 5 at the end
    layers = [tf_keras.layers.Dense(size, name=f"l{number}") for number, size in enumerate(widths[1:])]
    model = dlth.wrap(tf_keras.Sequential([tf_keras.layers.Input((3,)), *layers]))
    ticket = dlth.random_ticket(model, 0.8, allocation="erk", dense_layers="none")
    model.compile(tf_keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    callback = GradualMagnitude(0.8, begin=1, end=12, every=1, allocation="erk", dense_layers="none")
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(13, 3)), rng.normal(size=(13, 3)), batch_size=1, verbose=0, callbacks=[callback])
    kept = {name: int(entry.kept().sum()) for name, entry in masking.prunable_weights(model).items()}
    assert kept == {name: int(mask.sum()) for name, mask in ticket.items()}
