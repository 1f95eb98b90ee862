"""Mask updates: their effect on one weight, and the densities of the forward and the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf import masking
from dlth_tf.masking.exchange_times import ExchangeTimes
from dlth_tf.masking.keras2.updates import DropAndGrow, GradualMask, SignPenalty, TopK
from tests.masking.networks import graph_groups, wrapped


def first(sparsity: float = 0.5) -> masking.PrunableWeight:
    return masking.prunable_weights(wrapped(sparsity))["fc1/kernel"]


def test_densities_of_gradual_pruning_follow_its_table():
    entry = first(0)
    update = GradualMask(entry, graph_groups(entry), begin=4, every=2, kept=np.array([96, 48, 24]))
    by_step = [1.0] * 6 + [0.5] * 2 + [0.25] * 4  # before step 4; from 4, 6 and 8 on
    assert [update.densities(step, step + 1)[0] for step in range(12)] == by_step
    assert update.densities(0, 12) == (pytest.approx(np.mean(by_step)),) * 2


def test_growing_by_gradient_needs_all_of_it_when_the_mask_changes():
    entry = first()
    updates = {
        seed: DropAndGrow(entry, graph_groups(entry), ExchangeTimes(3, 2), np.array([5, 5]), seed)
        for seed in (None, (1, 2))
    }
    by_step = [1 if step in (3, 6) else 0.5 for step in range(10)]
    assert [updates[None].densities(step, step + 1)[1] for step in range(10)] == by_step
    assert updates[None].densities(0, 10) == (0.5, pytest.approx(0.6)) and updates[1, 2].densities(0, 10) == (0.5, 0.5)


def test_straight_through_needs_every_gradient_and_a_penalty_makes_nothing_sparse():
    entry = first(0)
    assert TopK(entry, graph_groups(entry), 24, tf.Variable(entry.weight)).densities(0, 9) == (0.25, 1.0)
    assert SignPenalty(entry.weight, 0.1).densities(0, 9) == (1.0, 1.0)


def test_straight_through_makes_the_weight_sparse_at_once_and_remembers_it_whole():
    entry = first(0)
    whole = entry.weight.numpy()
    update = TopK(entry, graph_groups(entry, "filter"), 3, tf.Variable(entry.weight))
    kept = np.argsort(np.abs(whole).mean(0))[-3:]
    assert sorted(np.flatnonzero(entry.kept().all(0))) == sorted(kept) and entry.kept().sum() == 24
    np.testing.assert_array_equal(entry.weight, np.where(entry.kept(), whole, 0))
    np.testing.assert_array_equal(update.whole, whole)


def test_the_sign_penalty_is_added_to_the_gradient():
    variable = tf.Variable([2.0, -3.0, 0.0])
    seen = []
    SignPenalty(variable, 0.25).update(
        lambda gradient, target: seen.append((gradient.numpy().tolist(), target)), tf.ones(3), None, variable
    )
    assert seen == [([1.25, 0.75, 1.0], variable)]


def test_a_removed_weight_with_a_huge_gradient_does_not_come_back_when_more_are_removed():
    entry = first(0.5)
    before = entry.kept()
    update = GradualMask(entry, graph_groups(entry), begin=1, every=1, kept=np.array([24]))
    optimizer = tf_keras.optimizers.SGD(1.0)
    huge = tf.constant(np.where(before, 0, 1e6).astype("float32"))
    update.update(lambda gradient, weight: weight.assign_sub(gradient), huge, optimizer, entry.weight)
    assert entry.kept().sum() == 24 and not (entry.kept() & ~before).any()
    assert np.count_nonzero(entry.weight.numpy()) == 24
