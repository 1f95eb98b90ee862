"""Drop and grow on eight numbers, by hand; and that whatever the numbers, as many stay as there were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlth_tf.core import drop_fraction, parse_granularity
from dlth_tf.errors import BadInput
from tests.core.regrowth_oracle import drop_and_grow

WEIGHTS = np.array([0.5, -0.1, 0.9, 0.2, 0.0, 0.0, 0.0, 0.0])
MASK = np.array([True, True, True, True, False, False, False, False])
GRADIENTS = np.array([9.0, 0.3, 9.0, 0.8, 0.1, 0.7, 0.9, 0.2])  # of |dL/dw|


def indices(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_rigl_grows_where_the_dense_gradient_is_largest():
    """Drops 1 and 3 (|w| .1 and .2); of 1, 3, 4 to 7 the gradients of 6 (.9) and 3 (.8) are largest: 3 returns."""
    assert indices(drop_and_grow(WEIGHTS, MASK, GRADIENTS, 2)) == [0, 2, 3, 6]


def test_set_grows_where_the_dice_fall():
    dice = np.array([0.99, 0.2, 0.98, 0.1, 0.3, 0.8, 0.4, 0.7])
    assert indices(drop_and_grow(WEIGHTS, MASK, dice, 2)) == [0, 2, 5, 7]


def test_what_is_kept_does_not_count_as_grown():
    assert indices(drop_and_grow(WEIGHTS, MASK, GRADIENTS, 1)) == [0, 2, 3, 6], (
        "0 and 2 have the largest gradients of all"
    )


def test_nothing_or_everything_can_be_exchanged():
    assert np.array_equal(drop_and_grow(WEIGHTS, MASK, GRADIENTS, 0), MASK)
    assert indices(drop_and_grow(WEIGHTS, MASK, GRADIENTS, 4)) == [0, 2, 3, 6], "by gradient alone"


def test_removed_weights_do_not_count_as_small():
    assert not drop_and_grow(WEIGHTS, MASK, GRADIENTS, 1)[1], (
        "1 is the smallest of the kept, though the removed are zero"
    )


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_as_many_stay_as_there_were(data):
    few = st.sampled_from([-1.0, 0.0, 0.5, 1.0])
    mask = data.draw(hnp.arrays(bool, hnp.array_shapes(max_dims=3, max_side=5)))
    weights, scores = (data.draw(hnp.arrays("float32", mask.shape, elements=few)) for _ in range(2))
    count = data.draw(st.integers(0, int(mask.sum())))
    new = drop_and_grow(weights, mask, scores, count)
    assert new.dtype == bool and new.shape == mask.shape and new.sum() == mask.sum()
    assert (mask & ~new).sum() <= count
    dropped, stayed = mask & ~new, mask & new
    if dropped.any() and stayed.any() and (new & ~mask).sum() == count:  # nothing returned
        assert np.abs(weights[dropped]).max() <= np.abs(weights[stayed]).min()


def test_whole_groups_are_exchanged_on_pooled_arrays():
    grain, weights = parse_granularity("filter"), np.array([[0.9, 0.1, 0.0], [-0.8, 0.1, 0.0]])
    gradients = np.array([[0.0, 0.1, 0.4], [0.0, 0.1, 0.2]])
    mask, _ = grain.free(np.array([[True, True, False]] * 2))
    new = drop_and_grow(grain.pool(np.abs(weights)), mask, grain.pool(gradients), 1)
    assert grain.expand(new, (2, 3)).tolist() == [[True, False, True]] * 2


@pytest.mark.parametrize("count", [-1, 5])
def test_more_than_is_kept_cannot_be_exchanged(count):
    with pytest.raises(BadInput, match=f"count={count}: must be between 0 and 4"):
        drop_and_grow(WEIGHTS, MASK, GRADIENTS, count)


def test_the_share_falls_along_half_a_cosine():
    assert [drop_fraction(step, 1000) for step in (0, 250, 500, 750, 1000, 2000)] == pytest.approx(
        [0.3, 0.15 * (1 + 0.5**0.5), 0.15, 0.15 * (1 - 0.5**0.5), 0, 0]
    )
    assert drop_fraction(0, 10, alpha=0.5) == 0.5
    assert int(drop_fraction(250, 1000) * 100) == 25
