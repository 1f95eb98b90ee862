"""DynamicSparsity against the NumPy oracle, and the steps and counts of its exchanges."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tf_keras

from dlth_tf import masking
from dlth_tf.callbacks import DynamicSparsity
from dlth_tf.core import drop_fraction, parse_granularity
from tests.callbacks import linear
from tests.callbacks.exchanges import SCHEDULE, random_scores
from tests.callbacks.linear import Momentum
from tests.core.regrowth_oracle import drop_and_grow
from tests.masking.networks import compiled, train, wrapped


def replay(
    model: tf_keras.Model, gradients: np.ndarray, grow: str, granularity: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns masks and kernels after every step, by the oracle on pooled arrays."""
    start = linear.state(model)
    parsed = parse_granularity(granularity)
    sgd = Momentum(start.kernel)
    groups, _ = parsed.free(start.mask)
    states = []
    for step, gradient in enumerate(gradients):
        if step in (3, 6, 9):
            scores = parsed.pool(np.abs(gradient))
            if grow == "random":
                scores = random_scores(0, step // 3 - 1, groups.size, "float64").reshape(groups.shape)
            count = int(drop_fraction(step, 11, 0.9) * groups.sum())
            new = drop_and_grow(parsed.pool(np.abs(sgd.kernel)), groups, scores, count)
            fresh = parsed.expand(new & ~groups, gradient.shape)
            sgd.velocity[fresh] = 0
            sgd.kernel = np.where(parsed.expand(new, gradient.shape) & ~fresh, sgd.kernel, 0)
            groups = new
        else:
            sgd.step(gradient)
            sgd.kernel = sgd.kernel * parsed.expand(groups, gradient.shape)
        states.append((parsed.expand(groups, gradient.shape), sgd.kernel))
    return states


@pytest.mark.fast_cases("gradient-filter", "random-weight")
@pytest.mark.parametrize("granularity", ["weight", "filter", "block:2x2"])
@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_it_is_core_drop_and_grow(grow, granularity):
    tf_keras.backend.set_floatx("float64")
    model = linear.half(granularity)
    gradients = linear.drawn(1, 14, (12, 8))[2]
    expected, other = (replay(model, order, grow, granularity) for order in (gradients, -2 * gradients[::-1]))
    states = linear.fit(model, gradients, DynamicSparsity(grow, granularity=granularity, **SCHEDULE))
    for step, (state, (mask, kernel)) in enumerate(zip(states, expected, strict=True)):
        assert np.array_equal(state.mask, mask), step
        np.testing.assert_allclose(state.kernel, kernel, rtol=0, atol=1e-12)
    changed = [step for step in range(1, 14) if not np.array_equal(states[step].mask, states[step - 1].mask)]
    assert changed and set(changed) <= {3, 6, 9}, "they change at their steps alone"
    assert not np.allclose(states[-1].kernel, other[-1][1], rtol=0, atol=1e-3), "the twin: other gradients are seen"


def test_steps_and_counts_follow_the_published_schedule():
    """f(t) = .3 / 2 (1 + cos(pi t / 20)) of 48 and 60 active weights at t = 4, 8, 12, 16, and nothing after."""
    model = compiled(wrapped())
    seen = []
    entries = masking.prunable_weights(model)

    def note(batch, logs):
        seen.append({name: entry.kept() for name, entry in entries.items()})

    train(
        model, [DynamicSparsity(every=4, stop=20), tf_keras.callbacks.LambdaCallback(on_train_batch_end=note)], steps=30
    )
    for name, active in (("fc1/kernel", 48), ("fc2/kernel", 60)):
        grown = {step: int((seen[step][name] & ~seen[step - 1][name]).sum()) for step in range(1, 30)}
        most = {step: int(0.15 * (1 + np.cos(np.pi * step / 20)) * active) for step in (4, 8, 12, 16)}
        assert sum(count > 0 for count in grown.values()) >= 3
        assert {step for step, count in grown.items() if count} <= set(most)
        assert all(grown[step] <= most[step] for step in most) and all(masks[name].sum() == active for masks in seen)
    assert all(masks["out/kernel"].all() for masks in seen)


def test_without_a_stop_it_ends_after_three_quarters_of_the_fit():
    dropped = []
    for stop in (None, 9, 12):
        callback = DynamicSparsity(every=2, stop=stop)
        callback.set_model(linear.half())
        callback.set_params({"epochs": 2, "steps": 6})
        dropped.append(callback.updates()[0].dropped.tolist())
    assert dropped[0] == dropped[1] == [int(0.15 * (1 + np.cos(np.pi * step / 9)) * 48) for step in (2, 4, 6, 8)]
    assert len(dropped[2]) == 5


def test_intervals_that_are_never_reached_are_told(caplog):
    caplog.set_level(logging.ERROR, "tensorflow")  # it warns of slow callbacks on a busy machine
    caplog.set_level(logging.WARNING, "dlth_tf")
    states = linear.fit(linear.half(), linear.drawn(1, 6, (12, 8))[2], DynamicSparsity())
    assert caplog.messages == [
        "no mask update will happen: the first is due at step 100, after the last allowed step 4"
    ]
    assert np.array_equal(states[0].mask, states[-1].mask)
