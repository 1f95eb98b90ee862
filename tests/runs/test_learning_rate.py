"""The learning rate of a full training: the default values and boundaries, and those of the flags."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.methods import LearningRate
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.fit_phase import keras_schedule
from dlth_tf.runs.plan import make_recipe


def rate(steps_per_epoch: int = 8, **changes: object) -> LearningRate:
    """The learning rate of a run."""
    config = RunConfig(method="rst", dataset="digits", model="lenet_300_100", sparsity=0.98, **changes)
    return make_recipe(config, steps_per_epoch * config.batch_size).learning_rate


def test_rates_fall_at_half_and_three_quarters_by_default():
    assert rate(epochs=10) == LearningRate((0.1, 0.01, 0.001), (40, 60))
    assert rate(epochs="7it") == LearningRate((0.1, 0.01, 0.001), (3, 5))


def test_lr_scales_the_default_values_and_lr_values_wins():
    assert rate(lr=0.4).values == (0.4, 0.04, 0.004)
    assert rate(lr=0.4, lr_values="1,.5", lr_boundaries="3") == LearningRate((1.0, 0.5), (24,))


def test_boundaries_are_durations_and_may_lie_beyond_the_end():
    assert rate(epochs=2, lr_boundaries="1,100") == LearningRate((0.1, 0.01, 0.001), (8, 800))
    assert rate(epochs=2, lr_boundaries="5it,1ep").boundaries == (5, 8)


def test_boundaries_that_go_back_in_time_are_refused_as_soon_as_the_epoch_has_a_length():
    with pytest.raises(BadInput, match="lr_boundaries=1ep,5it: must be in increasing order"):
        rate(lr_boundaries="1ep,5it")
    assert rate(steps_per_epoch=4, lr_boundaries="1ep,5it").boundaries == (4, 5)


def test_a_single_rate_needs_no_boundaries():
    assert rate(lr_values="0.5") == LearningRate((0.5,), ())


def test_a_rate_changes_at_its_boundary_and_not_before():
    three = LearningRate((0.1, 0.01, 0.001), (8, 12))
    assert [three.at(step) for step in (0, 7, 8, 11, 12, 10**9)] == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert LearningRate((0.3,)).at(0) == LearningRate((0.3,)).at(10**9) == 0.3


@pytest.mark.parametrize(
    "rate",
    [
        LearningRate((0.3,)),
        LearningRate((0.1, 0.01, 0.001), (8, 12)),
        LearningRate((0.1, 0.01, 0.001), (0, 0)),  # of a training of one step
        LearningRate((0.1, 0.01, 0.001), (1, 1)),
        LearningRate((0.1, 0.01, 0.001), (1, 2)),
        LearningRate((0.1, 0.01), (100,)),  # beyond the end
    ],
    ids=str,
)
def test_keras_follows_the_same_rates_at_every_step(rate):
    schedule = keras_schedule(rate)
    at = schedule if callable(schedule) else lambda step: schedule
    steps = range(16)
    found = [np.float32(at(tf.constant(step, tf.int64))) for step in steps]
    assert found == [np.float32(rate.at(step)) for step in steps]


def test_a_schedule_one_step_off_would_be_seen():
    two = LearningRate((0.1, 0.01), (8,))
    naive = tf_keras.optimizers.schedules.PiecewiseConstantDecay(list(two.boundaries), list(two.values))
    assert np.float32(naive(tf.constant(8, tf.int64))) != np.float32(two.at(8))
