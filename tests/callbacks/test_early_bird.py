"""EarlyBird: the epoch at which it draws its ticket, and the ticket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import EarlyBird
from tests.callbacks.early_bird_networks import Notes, eager, fit
from tests.masking.networks import kept_whole, mlp, same, weights

L = tf_keras.layers
SGD = dlth.optimizers.SGD


@pytest.mark.parametrize("window", [2, 5])
def test_masks_that_do_not_change_settle_as_soon_as_the_window_is_full(window):
    model = eager(dlth.wrap(mlp()), SGD(0.0))
    bird = EarlyBird(0.5, last_epoch=7, window=window, threshold=0.0)
    expected = dlth.magnitude_ticket(model, 0.5)
    fit(model, bird)
    assert bird.drawn_at == window and bird.ticket == expected == masking.chosen_ticket(model)


def test_masks_that_change_too_much_are_drawn_at_the_last_epoch():
    for last_epoch, drawn_at in ((4, 4), (None, 5)):  # None: when half of the eight epochs are over
        model = eager(dlth.wrap(mlp()), SGD(2.0))
        bird = EarlyBird(0.5, last_epoch=last_epoch, window=3, threshold=0.0)
        fit(model, bird)
        assert bird.drawn_at == drawn_at and not kept_whole(model)


def test_the_distance_of_the_newest_to_every_other_mask_decides():
    """After one large change before epoch 3, the masks of epochs 3, 4 and 5 are the first window of 3 that agrees."""

    class Jolt(tf_keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                kernel = masking.named_weights(self.model)["fc1/kernel"]
                kernel.assign(kernel.numpy()[::-1] * 3)

    for threshold, drawn_at in ((0.05, 5), (0.9, 3)):
        bird = EarlyBird(0.5, last_epoch=8, window=3, threshold=threshold)
        fit(eager(dlth.wrap(mlp()), SGD(0.0)), bird, Jolt())
        assert bird.drawn_at == drawn_at


def test_the_ticket_is_that_of_the_weights_at_its_epoch_and_training_goes_on_from_there():
    model = eager(dlth.wrap(mlp()))
    before = Notes()
    after = Notes()
    bird = EarlyBird(0.5, last_epoch=3)
    fit(model, before, bird, after, epochs=5)
    assert bird.drawn_at == 3 and bird.ticket == before.tickets[2] != before.tickets[0]
    for name, value in after.weights[2].items():
        assert np.array_equal(value, np.where(bird.ticket.get(name, True), before.weights[2][name], 0))
    for one, other in zip(before.optimizer[2], after.optimizer[2], strict=True):
        assert np.array_equal(one, other) and one.any(), "the same optimizer, its velocities and its steps"
    assert int(model.optimizer.iterations) == 15 and not same(weights(model), after.weights[2])


def test_what_removes_can_be_given():
    seen = []

    def remove(trained: tf_keras.Model) -> None:
        seen.append(kept_whole(trained))
        masking.remove(trained)

    model = eager(dlth.wrap(mlp()))
    bird = EarlyBird(0.5, last_epoch=1, remove=remove)
    fit(model, bird, epochs=2)
    assert seen == [True] and not kept_whole(model)
