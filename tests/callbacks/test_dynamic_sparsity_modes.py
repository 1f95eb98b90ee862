"""DynamicSparsity in graphs, eagerly, under XLA and mixed precision, and in fits that are interrupted."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf import masking
from dlth_tf.callbacks import DynamicSparsity
from tests.callbacks import linear
from tests.callbacks.exchanges import SCHEDULE
from tests.callbacks.refusals import Breaks
from tests.masking.networks import largest_removed, watch


@functools.cache
def plain(grow: str = "gradient") -> linear.State:
    return outcome(grow=grow)


def outcome(data=None, grow: str = "gradient", **options) -> linear.State:
    """Returns the state after two epochs of 7 steps with exchanges at steps 3, 6 and 9."""
    model = linear.half(**options)
    data = linear.batches(linear.drawn(1, 7, (12, 8))[2]) if data is None else data
    seen = watch(model)
    start = masking.chosen_ticket(model)
    model.fit(data, epochs=2, verbose=0, callbacks=[DynamicSparsity(grow, **SCHEDULE)])
    assert float(seen.largest) == 0.0 and largest_removed(model) == 0.0
    assert masking.installed(model) is None and int(model.optimizer.iterations) == 14
    ticket = masking.chosen_ticket(model)
    assert ticket != start and ticket.removed == start.removed == 48
    return linear.state(model)


def equal(one: linear.State, other: linear.State, atol: float = 0) -> bool:
    return np.array_equal(one.mask, other.mask) and np.allclose(one.kernel, other.kernel, rtol=0, atol=atol)


@pytest.mark.fast_cases("gradient")
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


def test_it_goes_on_where_an_interrupted_fit_stood_or_one_that_broke_off():
    gradients = np.tile(linear.drawn(1, 7, (12, 8))[2], (2, 1, 1))
    parts = linear.half()
    callback = DynamicSparsity(**SCHEDULE)
    linear.fit(parts, gradients[:4], callback)
    with pytest.raises(KeyboardInterrupt):
        linear.fit(parts, gradients[4:], callback, Breaks(7))
    assert equal(linear.fit(parts, gradients[7:], callback)[-1], plain()) and masking.installed(parts) is None
