"""EarlyBird in its published form: filters by the gammas of batch norms, and their penalty."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf.callbacks import EarlyBird
from tests.callbacks.early_bird_networks import Notes, convolutional, eager, fit
from tests.masking.networks import batches, same, weights

L = tf_keras.layers
SGD = dlth.optimizers.SGD


@pytest.mark.slow
def test_filters_with_the_largest_gamma_stay():
    model = eager(convolutional(), SGD(0.0))
    bird = EarlyBird(0.5, last_epoch=1, granularity="filter")
    fit(model, bird, epochs=2)
    assert bird.ticket["a/kernel"].any((0, 1, 2)).tolist() == [False, True, False, True]
    assert bird.ticket["b/kernel"].any((0, 1, 2)).tolist() == [True, False, True, False, True, False]
    by_weight = dlth.magnitude_ticket(model, 0.5, granularity="filter")
    assert set(bird.ticket) == set(by_weight) == {"a/kernel", "b/kernel"}
    other = EarlyBird(0.5, last_epoch=1)
    fit(eager(model := convolutional(), SGD(0.0)), other, epochs=2)
    assert other.ticket == dlth.magnitude_ticket(convolutional(), 0.5), "by weight, single weights go"


def test_one_threshold_for_all_gammas_as_published():
    bird = EarlyBird(0.5, last_epoch=1, granularity="filter", allocation="global")
    fit(eager(convolutional(), SGD(0.0)), bird, epochs=2)
    assert bird.ticket["a/kernel"].any((0, 1, 2)).tolist() == [False, True, False, False], (
        "of 4*3 + 6*4 weights 18 stay: 6, 5, 4, 4"
    )
    assert bird.ticket["b/kernel"].any((0, 1, 2)).tolist() == [True, False, True, False, True, False]


def test_gammas_get_the_l1_subgradient_until_the_ticket_is_drawn_and_not_after():
    rate = 0.5
    strength = 0.25
    outcomes = {}
    for penalty in (strength, 0.0):
        for last_epoch in (1, 2):
            model = eager(convolutional(), SGD(rate))
            bird = EarlyBird(0.5, last_epoch=last_epoch, granularity="filter", scale_penalty=penalty)
            model.fit(batches(1), epochs=2, verbose=0, callbacks=[bird, notes := Notes()])
            outcomes[penalty, last_epoch] = (notes.weights[1], weights(model))
    for name, gamma in outcomes[0.0, 2][0].items():
        expected = -rate * strength * np.sign(gamma) if name in ("bn_a/gamma", "bn_b/gamma") else 0.0
        ticket = np.ones(gamma.shape, bool) if not name.endswith("kernel") else outcomes[strength, 2][0][name] != 0
        np.testing.assert_allclose(
            (outcomes[strength, 2][0][name] - gamma)[ticket], np.broadcast_to(expected, gamma.shape)[ticket], atol=1e-6
        )
    assert same(outcomes[strength, 1][1], outcomes[0.0, 1][1]), "drawn before the first step: no penalty at all"


def test_a_layer_without_batch_norm_counts_by_its_weights_and_the_log_says_so(caplog):
    caplog.set_level(logging.ERROR, "tensorflow")  # it warns of slow callbacks on a busy machine
    caplog.set_level(logging.INFO, "dlth_tf")
    model = eager(convolutional(norm=False), SGD(0.0))
    bird = EarlyBird(0.5, last_epoch=1, granularity="filter")
    expected = dlth.magnitude_ticket(model, 0.5, granularity="filter")["a/kernel"]
    fit(model, bird, epochs=2)
    assert caplog.messages == ["early_bird: no batch norm follows a/kernel, so weight magnitudes are its scores"]
    assert np.array_equal(bird.ticket["a/kernel"], expected)
    assert bird.ticket["b/kernel"].any((0, 1, 2)).tolist() == [True, False, True, False, True, False]
    caplog.clear()
    fit(eager(convolutional(), SGD(0.0)), EarlyBird(0.5, last_epoch=1, granularity="filter"), epochs=1)
    assert not caplog.messages, "the twin: with batch norms everywhere nothing is logged"
