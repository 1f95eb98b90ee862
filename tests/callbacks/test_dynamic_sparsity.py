"""DynamicSparsity: drop and grow worked by hand, against the oracle, its steps and counts, and what it refuses."""

from __future__ import annotations

import functools
import logging

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import DynamicSparsity, KeepMask, RandomMask
from dlth_tf.core import Ticket, drop_fraction, parse_granularity
from dlth_tf.randomness import stateless_seed
from tests.callbacks import linear
from tests.callbacks.linear import NAME, Momentum
from tests.callbacks.refusals import Breaks, refused
from tests.core.regrowth_oracle import drop_and_grow
from tests.masking.networks import compiled, largest_removed, mlp, train, unknown_length, watch, wrapped

keras = tf_keras.optimizers

# eight weights, by hand --------------------------------------------------------------------------------------------

KERNEL = np.array([[1, -0.25, 2, 0.5], [0, 0, 0, 0]])
MASK = np.array([[True] * 4, [False] * 4])
GRADIENT = np.array([[0.5, 0.25, -0.5, -0.25], [1, -1, 0.5, 2]])  # at steps 0, 1 and 3
AT_EXCHANGE = np.array([[9, 0.25, -9, -4], [1, -2, 8, 0.5]])  # at step 2
GRADIENTS = np.stack([GRADIENT, GRADIENT, AT_EXCHANGE, GRADIENT])
BEFORE = [[0.84375, -0.328125, 2.15625, 0.578125], [0, 0, 0, 0]]  # w - .125 g - .125 * 1.5 g
# k = int(.7 / 2 * (1 + cos(pi 2 / 6)) * 4) = 2: 1 and 3 are dropped; of 1, 3 and 4 to 7 the gradients of 6 and 3 are
# largest.
EXCHANGED = [[0.84375, 0, 2.15625, 0.578125], [0, 0, 0, 0]]
GROWN = [[True, False, True, True], [False, False, True, False]]


def by_hand(**options) -> DynamicSparsity:
    return DynamicSparsity(fraction=0.7, every=2, stop=6, **options)


def test_rigl_on_eight_weights_by_hand():
    model = linear.layer(KERNEL, MASK)
    _, before, after, trained = linear.fit(model, GRADIENTS, by_hand())
    assert np.array_equal(before.mask, MASK) and np.array_equal(before.kernel, BEFORE)
    assert np.array_equal(before.slots[0], 1.5 * GRADIENT), "velocities are not masked"
    assert np.array_equal(after.mask, GROWN) and np.array_equal(after.kernel, EXCHANGED)
    expected = 1.5 * GRADIENT
    expected[1, 2] = 0  # what grew; what returned, and what went, have theirs
    assert np.array_equal(after.slots[0], expected)
    assert np.array_equal(after.bias, before.bias) and np.array_equal(after.bias_slots[0], before.bias_slots[0]), (
        "no weight step"
    )
    velocity = 0.5 * expected + GRADIENT
    assert np.array_equal(trained.kernel, np.where(GROWN, np.array(EXCHANGED) - 0.125 * velocity, 0))
    assert np.array_equal(trained.mask, GROWN) and not np.array_equal(trained.bias, after.bias)
    assert masking.chosen_ticket(model) == Ticket.from_masks({NAME: np.array(GROWN)})


def test_another_gradient_would_grow_others():
    """The negative twin of the growth by hand."""
    gradients = GRADIENTS.copy()
    gradients[2, 1, 3] = -10
    after = linear.fit(linear.layer(KERNEL, MASK), gradients, by_hand())[2]
    assert np.array_equal(after.mask, [[True, False, True, False], [False, False, True, True]]), (
        "3 does not return then"
    )
    assert after.kernel[0, 3] == 0 and after.slots[0][0, 3] == 1.5 * GRADIENT[0, 3]


def test_set_on_eight_weights_grows_what_its_seed_says():
    after = linear.fit(linear.layer(KERNEL, MASK), GRADIENTS, by_hand(grow="random", seed=3))[2]
    dice = random_scores(3, 0, 8).reshape(2, 4)
    assert np.array_equal(after.mask, drop_and_grow(np.array(BEFORE), MASK, dice, 2))
    others = [drop_and_grow(np.array(BEFORE), MASK, random_scores(seed, 0, 8).reshape(2, 4), 2) for seed in range(4, 9)]
    assert not all(np.array_equal(after.mask, other) for other in others), "another seed would grow others"


@pytest.mark.parametrize("optimizer", [keras.Adam(0.01, amsgrad=True), keras.SGD(0.1, 0.9)], ids=["adam", "sgd"])
def test_every_slot_of_what_grew_is_empty_and_all_others_stay(optimizer):
    before, after = linear.fit(linear.layer(KERNEL, MASK, optimizer), GRADIENTS, by_hand())[1:3]
    assert len(after.slots) == (3 if isinstance(optimizer, keras.Adam) else 1)
    grown = after.mask & ~before.mask
    assert grown.sum() == 1
    for new, old in zip(after.slots, before.slots, strict=True):
        assert (old != 0).all() and np.array_equal(new, np.where(grown, 0, old))


# against NumPy -----------------------------------------------------------------------------------------------------


def random_scores(seed: int, event: int, count: int, dtype: str = "float32") -> np.ndarray:
    high, low = stateless_seed(seed, "growth", NAME)
    return tf.random.stateless_uniform(
        [count], tf.constant([high, low + event], tf.int64), dtype=dtype, alg="philox"
    ).numpy()


SCHEDULE = {"fraction": 0.9, "every": 3, "stop": 11}


def replay(
    model: tf_keras.Model, gradients: np.ndarray, grow: str, granularity: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks and kernels after every step, by the oracle on pooled arrays."""
    start, grain, found = linear.state(model), parse_granularity(granularity), []
    sgd, (groups, _) = Momentum(start.kernel), grain.free(start.mask)
    for step, gradient in enumerate(gradients):
        if step in (3, 6, 9):
            scores = grain.pool(np.abs(gradient))
            if grow == "random":
                scores = random_scores(0, step // 3 - 1, groups.size, "float64").reshape(groups.shape)
            count = int(drop_fraction(step, 11, 0.9) * groups.sum())
            new = drop_and_grow(grain.pool(np.abs(sgd.kernel)), groups, scores, count)
            fresh = grain.expand(new & ~groups, gradient.shape)
            sgd.velocity[fresh], sgd.kernel = 0, np.where(grain.expand(new, gradient.shape) & ~fresh, sgd.kernel, 0)
            groups = new
        else:
            sgd.step(gradient)
            sgd.kernel = sgd.kernel * grain.expand(groups, gradient.shape)
        found.append((grain.expand(groups, gradient.shape), sgd.kernel))
    return found


@pytest.mark.parametrize("granularity", ["weight", "filter", "block:2x2"])
@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_it_is_core_drop_and_grow(grow, granularity):
    tf_keras.backend.set_floatx("float64")
    model, gradients = linear.half(granularity), linear.drawn(1, 14, (12, 8))[2]
    expected, other = (replay(model, order, grow, granularity) for order in (gradients, -2 * gradients[::-1]))
    found = linear.fit(model, gradients, DynamicSparsity(grow, granularity=granularity, **SCHEDULE))
    for step, (state, (mask, kernel)) in enumerate(zip(found, expected, strict=True)):
        assert np.array_equal(state.mask, mask), step
        np.testing.assert_allclose(state.kernel, kernel, rtol=0, atol=1e-12)
    changed = [step for step in range(1, 14) if not np.array_equal(found[step].mask, found[step - 1].mask)]
    assert changed and set(changed) <= {3, 6, 9}, "they change at their steps alone"
    assert not np.allclose(found[-1].kernel, other[-1][1], rtol=0, atol=1e-3), "the twin: other gradients are seen"


def test_steps_and_counts_follow_the_published_schedule():
    """f(t) = .3 / 2 (1 + cos(pi t / 20)) of 48 and 60 active weights at t = 4, 8, 12, 16, and nothing after."""
    model, seen = compiled(wrapped()), []
    entries = masking.prunable_weights(model)

    def note(batch, logs):
        seen.append({name: entry.kept() for name, entry in entries.items()})

    train(
        model, [DynamicSparsity(every=4, stop=20), tf_keras.callbacks.LambdaCallback(on_train_batch_end=note)], steps=30
    )
    for name, active in (("fc1/kernel", 48), ("fc2/kernel", 60)):
        grown = {step: int((seen[step][name] & ~seen[step - 1][name]).sum()) for step in range(1, 30)}
        most = {step: int(0.15 * (1 + np.cos(np.pi * step / 20)) * active) for step in (4, 8, 12, 16)}
        assert sum(count > 0 for count in grown.values()) >= 3 and {
            step for step, count in grown.items() if count
        } <= set(most)
        assert all(grown[step] <= most[step] for step in most) and all(masks[name].sum() == active for masks in seen)
    assert all(masks["out/kernel"].all() for masks in seen)


@functools.cache
def plain(grow: str = "gradient") -> linear.State:
    return outcome(grow=grow)


def outcome(data=None, grow: str = "gradient", **options) -> linear.State:
    """After two epochs of 7 steps with changes at 3, 6 and 9."""
    model = linear.half(**options)
    data = linear.batches(linear.drawn(1, 7, (12, 8))[2]) if data is None else data
    seen, start = watch(model), masking.chosen_ticket(model)
    model.fit(data, epochs=2, verbose=0, callbacks=[DynamicSparsity(grow, **SCHEDULE)])
    assert float(seen.largest) == 0.0 and largest_removed(model) == 0.0
    assert masking.installed(model) is None and int(model.optimizer.iterations) == 14
    ticket = masking.chosen_ticket(model)
    assert ticket != start and ticket.removed == start.removed == 48
    return linear.state(model)


def equal(one: linear.State, other: linear.State, atol: float = 0) -> bool:
    return np.array_equal(one.mask, other.mask) and np.allclose(one.kernel, other.kernel, rtol=0, atol=atol)


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_steps_per_execution_and_eager_change_nothing(grow):
    assert equal(outcome(grow=grow, steps_per_execution=4), plain(grow))
    assert equal(outcome(grow=grow, run_eagerly=True), plain(grow), atol=1e-6)


def test_data_of_unknown_length_give_the_same_exchanges():
    known = linear.batches(linear.drawn(1, 7, (12, 8))[2])
    unknown = tf.data.Dataset.from_generator(lambda: iter(known), output_signature=known.element_spec)
    assert equal(outcome(unknown), plain()) and not equal(plain(), plain("random"))


@pytest.mark.parametrize("grow", ["gradient", pytest.param("random", marks=pytest.mark.slow)])
def test_xla_keeps_the_counts_and_by_gradient_the_very_masks(grow):
    assert equal(outcome(grow=grow, jit_compile=True), plain(grow), atol=1e-6) == (grow == "gradient"), (
        "XLA draws other random numbers from the same seed"
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_counts_and_zeros(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    outcome()


def test_without_a_stop_it_ends_after_three_quarters_of_the_fit():
    found = []
    for stop in (None, 9, 12):
        callback = DynamicSparsity(every=2, stop=stop)
        callback.set_model(linear.half())
        callback.set_params({"epochs": 2, "steps": 6})
        found.append(callback.updates()[0].dropped.tolist())
    assert (
        found[0] == found[1] == [int(0.15 * (1 + np.cos(np.pi * step / 9)) * 48) for step in (2, 4, 6, 8)]
        and len(found[2]) == 5
    )


def test_it_goes_on_where_an_interrupted_fit_stood_or_one_that_broke_off():
    gradients = np.tile(linear.drawn(1, 7, (12, 8))[2], (2, 1, 1))
    parts, callback = linear.half(), DynamicSparsity(**SCHEDULE)
    linear.fit(parts, gradients[:4], callback)
    with pytest.raises(KeyboardInterrupt):
        linear.fit(parts, gradients[4:], callback, Breaks(7))
    assert equal(linear.fit(parts, gradients[7:], callback)[-1], plain()) and masking.installed(parts) is None


def test_intervals_that_are_never_reached_are_told(caplog):
    caplog.set_level(logging.ERROR, "tensorflow")  # it complains of slow callbacks on a busy machine
    caplog.set_level(logging.WARNING, "dlth_tf")
    states = linear.fit(linear.half(), linear.drawn(1, 6, (12, 8))[2], DynamicSparsity())
    assert caplog.messages == ["no weight is exchanged: the first time would be step 100, and they end at 4"]
    assert np.array_equal(states[0].mask, states[-1].mask)


# what it refuses ---------------------------------------------------------------------------------------------------


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
        refused(
            compiled(model), [DynamicSparsity(every=2)], "has nothing removed that could be exchanged: put RandomMask"
        )


def test_data_of_unknown_length_need_a_stop():
    refused(
        compiled(wrapped()), [DynamicSparsity(every=2)], "stop=None: must be given in steps", data=unknown_length(4)
    )


@pytest.mark.parametrize(
    ("granularity", "sentence"),
    [
        ("filter", "granularity=filter: does not fit fc1/kernel, whose mask keeps parts of such groups"),
        ("2:4", "granularity=2:4: does not go with masks that change while the network trains"),
        ("block:3x1", "granularity=block:3x1: does not fit fc1/kernel, whose number of inputs"),
        ("rows", "granularity=rows: must be one of"),
    ],
)
def test_a_granularity_that_does_not_fit_is_refused(granularity, sentence):
    refused(compiled(wrapped()), [DynamicSparsity(every=2, granularity=granularity)], sentence)


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
    gradients, model = linear.drawn(1, 4, (12, 8))[2], linear.half()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, 0, dense_layers="none"), remove=True)
    sentence = "callbacks=DynamicSparsity: must come after RandomMask and KeepMask in the list"
    refused(model, [DynamicSparsity(every=2, stop=9), other()], sentence, linear.batches(gradients))
    start = linear.state(model)
    after = linear.fit(model, gradients, other(), DynamicSparsity(fraction=0.9, every=2, stop=4))[-1]
    assert after.mask.sum() == 48 and not np.array_equal(after.mask, start.mask)
