"""EarlyBird: when it draws, what it draws, the penalty of the gammas, and what it refuses."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, Ticket, masking
from dlth_tf.callbacks import EarlyBird
from tests.callbacks.refusals import Breaks, refused
from tests.masking.networks import LOSS, batches, compiled, kept_whole, largest_removed, mlp, same, train, weights

L = tf_keras.layers
SGD = dlth.optimizers.SGD


def eager(model: tf_keras.Model, optimizer: Any = None) -> tf_keras.Model:
    """Compiled to run eagerly, which is quicker for a few steps; graphs are below."""
    return compiled(model, optimizer, run_eagerly=True)


def fit(model: tf_keras.Model, *callbacks: tf_keras.callbacks.Callback, epochs: int = 8) -> None:
    model.fit(batches(3), epochs=epochs, verbose=0, callbacks=list(callbacks))
    assert masking.installed(model) is None and largest_removed(model) == 0.0


# when it draws -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [2, 5])
def test_masks_that_do_not_change_settle_as_soon_as_the_window_is_full(window):
    model, bird = eager(dlth.wrap(mlp()), SGD(0.0)), EarlyBird(0.5, last_epoch=7, window=window, threshold=0.0)
    expected = dlth.magnitude_ticket(model, 0.5)
    fit(model, bird)
    assert bird.drawn_at == window and bird.ticket == expected == masking.chosen_ticket(model)


def test_masks_that_change_too_much_are_drawn_at_the_last_epoch():
    for last_epoch, drawn_at in ((4, 4), (None, 5)):  # None: when half of the eight epochs are over
        model, bird = eager(dlth.wrap(mlp()), SGD(2.0)), EarlyBird(0.5, last_epoch=last_epoch, window=3, threshold=0.0)
        fit(model, bird)
        assert bird.drawn_at == drawn_at and not kept_whole(model)


def test_the_distance_of_the_newest_to_every_other_mask_decides():
    """One large change before epoch 3: with a window of 3 the masks of epochs 3, 4 and 5 are the first that agree."""

    class Jolt(tf_keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                kernel = masking.named_weights(self.model)["fc1/kernel"]
                kernel.assign(kernel.numpy()[::-1] * 3)

    for threshold, drawn_at in ((0.05, 5), (0.9, 3)):
        bird = EarlyBird(0.5, last_epoch=8, window=3, threshold=threshold)
        fit(eager(dlth.wrap(mlp()), SGD(0.0)), bird, Jolt())
        assert bird.drawn_at == drawn_at


class Notes(tf_keras.callbacks.Callback):
    """Magnitude ticket, weights, slots and step count at the start of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: list[Ticket] = []
        self.weights: list[dict[str, np.ndarray]] = []
        self.optimizer: list[list[np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.tickets.append(dlth.magnitude_ticket(self.model, 0.5))
        self.weights.append(weights(self.model))
        self.optimizer.append([variable.numpy() for variable in self.model.optimizer.variables])


def test_the_ticket_is_that_of_the_weights_at_its_epoch_and_training_goes_on_from_there():
    model, before, after, bird = eager(dlth.wrap(mlp())), Notes(), Notes(), EarlyBird(0.5, last_epoch=3)
    fit(model, before, bird, after, epochs=5)
    assert bird.drawn_at == 3 and bird.ticket == before.tickets[2] != before.tickets[0]
    for name, value in after.weights[2].items():
        assert np.array_equal(value, np.where(bird.ticket.get(name, True), before.weights[2][name], 0))
    for one, other in zip(before.optimizer[2], after.optimizer[2], strict=True):
        assert np.array_equal(one, other) and one.any(), "the same optimizer, its velocities and its steps"
    assert int(model.optimizer.iterations) == 15 and not same(weights(model), after.weights[2])


def test_what_removes_can_be_given():
    seen = []
    model = eager(dlth.wrap(mlp()))
    bird = EarlyBird(0.5, last_epoch=1, remove=lambda given: (seen.append(kept_whole(given)), masking.remove(given)))
    fit(model, bird, epochs=2)
    assert seen == [True] and not kept_whole(model)


# the published form ------------------------------------------------------------------------------------------------


def convolutional(norm: bool = True) -> tf_keras.Model:
    """Two convolutions of 4 and 6 filters with batch norm, whose gammas are 1 to 4 and -6 to -1; the first has none if not `norm`."""
    tf_keras.utils.set_random_seed(1)
    x = inputs = L.Input((8,))
    x = L.Reshape((2, 2, 2))(x)
    for name, filters in (("stem", 3), ("a", 4), ("b", 6)):
        x = L.Conv2D(filters, 1, name=name)(x)
        x = L.BatchNormalization(name=f"bn_{name}")(x) if norm or name != "a" else x
        x = L.ReLU()(x)
    model = dlth.wrap(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x)), name="net"))
    if norm:
        model.get_layer("bn_a").gamma.assign([1, 4, 2, 3])
    model.get_layer("bn_b").gamma.assign([-6, -1, -5, -2, -4, -3])
    return model


def test_filters_with_the_largest_gamma_stay():
    model, bird = eager(convolutional(), SGD(0.0)), EarlyBird(0.5, last_epoch=1, granularity="filter")
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
    rate, strength, found = 0.5, 0.25, {}
    for penalty in (strength, 0.0):
        for last_epoch in (1, 2):
            model = eager(convolutional(), SGD(rate))
            bird = EarlyBird(0.5, last_epoch=last_epoch, granularity="filter", scale_penalty=penalty)
            model.fit(batches(1), epochs=2, verbose=0, callbacks=[bird, notes := Notes()])
            found[penalty, last_epoch] = (notes.weights[1], weights(model))
    for name, gamma in found[0.0, 2][0].items():
        expected = -rate * strength * np.sign(gamma) if name in ("bn_a/gamma", "bn_b/gamma") else 0.0
        ticket = np.ones(gamma.shape, bool) if not name.endswith("kernel") else found[strength, 2][0][name] != 0
        np.testing.assert_allclose(
            (found[strength, 2][0][name] - gamma)[ticket], np.broadcast_to(expected, gamma.shape)[ticket], atol=1e-6
        )
    assert same(found[strength, 1][1], found[0.0, 1][1]), "drawn before the first step: no penalty at all"


def test_a_layer_without_batch_norm_counts_by_its_weights_and_the_log_says_so(caplog):
    caplog.set_level(logging.ERROR, "tensorflow")  # it complains of slow callbacks on a busy machine
    caplog.set_level(logging.INFO, "dlth_tf")
    model, bird = eager(convolutional(norm=False), SGD(0.0)), EarlyBird(0.5, last_epoch=1, granularity="filter")
    expected = dlth.magnitude_ticket(model, 0.5, granularity="filter")["a/kernel"]
    fit(model, bird, epochs=2)
    assert caplog.messages == ["early_bird: no batch norm follows a/kernel, so weight magnitude counts there"]
    assert np.array_equal(bird.ticket["a/kernel"], expected)
    assert bird.ticket["b/kernel"].any((0, 1, 2)).tolist() == [True, False, True, False, True, False]
    caplog.clear()
    fit(eager(convolutional(), SGD(0.0)), EarlyBird(0.5, last_epoch=1, granularity="filter"), epochs=1)
    assert not caplog.messages, "the twin: with batch norm everywhere there is nothing to say"


# ways to run -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 3}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow)], ids=str
)
def test_graphs_give_the_same_as_eager_steps(options):
    found = []
    for chosen in ({"run_eagerly": True}, options):
        bird = EarlyBird(0.5, last_epoch=2, granularity="filter")
        fit(model := compiled(convolutional(), **chosen), bird, epochs=3)
        found.append((bird.ticket, weights(model)))
    assert found[0][0] == found[1][0]
    for name, value in found[0][1].items():
        np.testing.assert_allclose(found[1][1][name], value, rtol=0, atol=1e-4)


def test_mixed_precision_draws_too():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    bird = EarlyBird(0.5, last_epoch=2, granularity="filter")
    fit(compiled(convolutional(), SGD(0.01, momentum=0.9)), bird, epochs=3)
    assert bird.drawn_at == 2


def test_it_can_be_used_again_after_a_fit_that_broke_off():
    bird = EarlyBird(0.5, last_epoch=3, window=2, threshold=0.0)
    with pytest.raises(KeyboardInterrupt):
        eager(broken := dlth.wrap(mlp()), SGD(2.0)).fit(batches(3), epochs=4, verbose=0, callbacks=[bird, Breaks(4)])
    assert bird.ticket is None and kept_whole(broken)
    fit(eager(broken, SGD(2.0)), bird, epochs=4)
    assert bird.drawn_at == 3


# what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"window": 1},
        {"window": 2.0},
        {"threshold": 1.1},
        {"scale_penalty": -1.0},
        {"scale_penalty": float("nan")},
        {"last_epoch": 0},
    ],
    ids=str,
)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        EarlyBird(0.5, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"last_epoch": 3}, "last_epoch=3: must be at most 2, the number of epochs"),
        ({"sparsity": 1.0}, "sparsity=1.0"),
        ({"granularity": "block:5x1"}, "granularity=block:5x1: does not fit fc1/kernel"),
        ({"dense_layers": "fc9"}, "dense_layers=fc9: matches no prunable layer"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(options, sentence):
    refused(compiled(dlth.wrap(mlp())), [EarlyBird(**{"sparsity": 0.5, **options})], sentence, epochs=2)


def test_an_optimizer_that_cannot_carry_the_hook_and_an_unwrapped_model_are_refused():
    refused(
        compiled(dlth.wrap(mlp()), tf_keras.optimizers.legacy.SGD(0.1)),
        [EarlyBird(0.5)],
        "has no update step",
        epochs=2,
    )
    with pytest.raises(BadInput, match="is not wrapped"):
        train(compiled(mlp()), [EarlyBird(0.5)])
    with pytest.raises(BadInput, match="leaves nothing to prune"):
        model = dlth.wrap(tf_keras.Sequential([L.Input((8,)), L.Dense(3, name="out")]))
        model.compile(SGD(0.1), LOSS)
        train(model, [EarlyBird(0.5)])
