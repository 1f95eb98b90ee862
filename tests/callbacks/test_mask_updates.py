"""Mask updates: the slots of a weight, and the densities of the forward and the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import Ticket, masking
from dlth_tf.callbacks.dynamic_sparsity import DropAndGrow
from dlth_tf.callbacks.early_bird import SignPenalty
from dlth_tf.callbacks.gradual_magnitude import GradualMask
from dlth_tf.callbacks.straight_through import TopK
from dlth_tf.masking.keras2.optimizers import slots_of
from tests.masking.networks import compiled, graph_groups, mlp, wrapped

keras = tf_keras.optimizers


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (lambda: dlth.optimizers.SGD(0.1), 0),
        (lambda: dlth.optimizers.SGD(0.1, momentum=0.9), 1),
        (lambda: keras.SGD(0.1, momentum=0.9), 1),
        (lambda: keras.Adam(), 2),
        (lambda: keras.AdamW(), 2),
        (lambda: keras.Adam(amsgrad=True), 3),
        (lambda: keras.RMSprop(), 1),
        (lambda: keras.RMSprop(momentum=0.9, centered=True), 3),
        (lambda: keras.Adagrad(), 1),
        (lambda: keras.Nadam(), 2),
    ],
)
def test_the_slots_of_a_weight_are_found_for_every_optimizer(optimizer, slots):
    model = compiled(wrapped(), optimizer())
    for place, variable in enumerate(model.trainable_variables):
        found = slots_of(model.optimizer, variable)
        assert len(found) == slots and all(slot.shape == variable.shape for slot in found)
        others = [id(slot) for other in model.trainable_variables[:place] for slot in slots_of(model.optimizer, other)]
        assert not {id(slot) for slot in found} & set(others), "slots of other weights"
        assert not {id(slot) for slot in found} & {id(weight) for weight in model.weights}


def first(sparsity: float = 0.5) -> masking.PrunableWeight:
    return masking.prunable_weights(wrapped(sparsity))["fc1/kernel"]


def test_densities_of_gradual_pruning_follow_its_table():
    entry = first(0)
    change = GradualMask(entry, graph_groups(entry), begin=4, every=2, kept=np.array([96, 48, 24]))
    by_step = [1.0] * 6 + [0.5] * 2 + [0.25] * 4  # before step 4; from 4, 6 and 8 on
    assert [change.densities(step, step + 1)[0] for step in range(12)] == by_step
    assert change.densities(0, 12) == (pytest.approx(np.mean(by_step)),) * 2


def test_growing_by_gradient_needs_all_of_it_when_the_mask_changes():
    entry = first()
    changes = {seed: DropAndGrow(entry, graph_groups(entry), 3, np.array([5, 5]), seed) for seed in (None, (1, 2))}
    assert [changes[None].densities(step, step + 1)[1] for step in range(10)] == [
        0.5,
        0.5,
        0.5,
        1,
        0.5,
        0.5,
        1,
        0.5,
        0.5,
        0.5,
    ]
    assert changes[None].densities(0, 10) == (0.5, pytest.approx(0.6)) and changes[1, 2].densities(0, 10) == (0.5, 0.5)


def test_straight_through_needs_every_gradient_and_a_penalty_makes_nothing_sparse():
    entry = first(0)
    assert TopK(entry, graph_groups(entry), 24).densities(0, 9) == (0.25, 1.0)
    assert SignPenalty(entry.weight, 0.1).densities(0, 9) == (1.0, 1.0)


def test_straight_through_makes_the_weight_sparse_at_once_and_remembers_it_whole():
    entry = first(0)
    whole = entry.weight.numpy()
    change = TopK(entry, graph_groups(entry, "filter"), 3)
    kept = np.argsort(np.abs(whole).mean(0))[-3:]
    assert sorted(np.flatnonzero(entry.kept().all(0))) == sorted(kept) and entry.kept().sum() == 24
    np.testing.assert_array_equal(entry.weight, np.where(entry.kept(), whole, 0))
    np.testing.assert_array_equal(change.whole, whole)


def test_the_sign_penalty_is_added_to_the_gradient():
    variable, seen = tf.Variable([2.0, -3.0, 0.0]), []
    SignPenalty(variable, 0.25).update(
        lambda gradient, target: seen.append((gradient.numpy().tolist(), target)), tf.ones(3), None, variable
    )
    assert seen == [([1.25, 0.75, 1.0], variable)]


def test_the_ticket_can_follow_the_masks():
    model = dlth.wrap(mlp())
    entry, mask = masking.prunable_weights(model)["fc1/kernel"], np.arange(96).reshape(8, 12) % 3 > 0
    entry.mask.assign(mask)
    assert masking.chosen_ticket(model).removed == 0
    masking.choose_what_is_kept(model)
    assert masking.chosen_ticket(model) == Ticket.from_masks({"fc1/kernel": mask})
