"""DynamicSparsity: RigL and SET on eight weights, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

from dlth_tf import masking
from dlth_tf.callbacks import DynamicSparsity
from dlth_tf.core import Ticket
from tests.callbacks import linear
from tests.callbacks.exchanges import random_scores
from tests.callbacks.linear import NAME
from tests.core.regrowth_oracle import drop_and_grow

keras = tf_keras.optimizers


KERNEL = np.array([[1, -0.25, 2, 0.5], [0, 0, 0, 0]])
MASK = np.array([[True] * 4, [False] * 4])
GRADIENT = np.array([[0.5, 0.25, -0.5, -0.25], [1, -1, 0.5, 2]])  # at steps 0, 1 and 3
AT_EXCHANGE = np.array([[9, 0.25, -9, -4], [1, -2, 8, 0.5]])  # at step 2
GRADIENTS = np.stack([GRADIENT, GRADIENT, AT_EXCHANGE, GRADIENT])
BEFORE = [[0.84375, -0.328125, 2.15625, 0.578125], [0, 0, 0, 0]]  # w - .125 g - .125 * 1.5 g
# k = int(.7 / 2 * (1 + cos(pi 2 / 6)) * 4) = 2: 1 and 3 are dropped; of 1, 3 and 4 to 7 the gradients of 6 and 3 are
# the largest.
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
    expected[1, 2] = 0  # the grown one; the one that returned and the dropped one keep theirs
    assert np.array_equal(after.slots[0], expected)
    assert np.array_equal(after.bias, before.bias) and np.array_equal(after.bias_slots[0], before.bias_slots[0]), (
        "no weight step"
    )
    velocity = 0.5 * expected + GRADIENT
    assert np.array_equal(trained.kernel, np.where(GROWN, np.array(EXCHANGED) - 0.125 * velocity, 0))
    assert np.array_equal(trained.mask, GROWN) and not np.array_equal(trained.bias, after.bias)
    assert masking.chosen_ticket(model) == Ticket.from_masks({NAME: np.array(GROWN)})


def test_another_gradient_would_grow_others():
    """The negative twin of the test by hand."""
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
