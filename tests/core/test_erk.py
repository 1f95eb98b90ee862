"""ERK against a table that was worked out for ResNet-56, and against the published loop in floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import erk
from tests.core.networks import NETWORKS, WHOLE_RESNET56

# sparsity -> eps and the sparsity of conv1, stage1, the first and the other convolutions of stages 2 and 3, fc
TABLE = {
    0.5: (105.692, (0, 0, 0, 0.1972, 0.4151, 0.6158, 0)),
    0.7: (58.877, (0, 0.0289, 0.3100, 0.5528, 0.6742, 0.7860, 0)),
    0.9: (19.464, (0, 0.6790, 0.7719, 0.8522, 0.8923, 0.9292, 0)),
    0.95: (9.656, (0.4412, 0.8407, 0.8868, 0.9267, 0.9466, 0.9649, 0)),
    0.98: (3.862, (0.7765, 0.9363, 0.9547, 0.9707, 0.9786, 0.9860, 0.5534)),
}
WITNESSES = ("conv1", "stage1_conv5", "stage2_conv0", "stage2_conv1", "stage3_conv0", "stage3_conv17", "fc")


def published_loop(shapes: dict[str, tuple[int, ...]], sparsity: float, capacity: bool = True) -> dict[str, float]:
    """Computes densities as rigl/sparse_utils.py does: the densest tensors become dense, until no density exceeds 1."""
    dense: set[str] = set()
    while True:
        divisor = 0.0
        rhs = 0.0
        raw = {}
        for name, shape in shapes.items():
            n = math.prod(shape)
            zeros = math.floor(sparsity * n)
            if name in dense:
                rhs -= zeros
            else:
                rhs += n - zeros
                raw[name] = sum(shape) / n
                divisor += raw[name] * n
        eps = rhs / divisor if divisor else 0.0
        if not raw or not capacity or eps * max(raw.values()) <= 1:
            return {name: eps * raw[name] if name in raw else 1.0 for name in shapes}
        dense |= {name for name, value in raw.items() if value == max(raw.values())}


@pytest.mark.parametrize("sparsity", TABLE)
def test_resnet_56_has_the_densities_of_the_table(sparsity):
    """The published budget rounds down in every tensor, so the table keeps up to 27 weights more than ours (at .98)."""
    eps, expected = TABLE[sparsity]
    shapes = [WHOLE_RESNET56[f"{name}/kernel"] for name in WITNESSES]
    published = published_loop(WHOLE_RESNET56, sparsity)
    assert [1 - published[f"{name}/kernel"] for name in WITNESSES] == pytest.approx(expected, abs=6e-5)
    assert published["stage3_conv17/kernel"] * math.prod(shapes[-2]) / sum(shapes[-2]) == pytest.approx(eps, abs=6e-4)
    kept = erk(WHOLE_RESNET56, sparsity)
    for name, shape, value in zip(WITNESSES, shapes, expected, strict=True):
        assert kept[f"{name}/kernel"] == pytest.approx((1 - value) * math.prod(shape), abs=4)
    assert 848_944 - sum(kept.values()) == math.ceil(round(sparsity * 848_944, 6))


@settings(max_examples=60, deadline=None)
@given(shapes=NETWORKS, sparsity=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_every_count_is_that_of_the_published_loop_to_a_weight_or_two(shapes, sparsity):
    densities = published_loop(shapes, sparsity)
    for name, kept in erk(shapes, sparsity).items():
        assert abs(kept - densities[name] * math.prod(shapes[name])) <= 1 + len(shapes)


def test_without_the_loop_a_small_tensor_would_be_overfull():
    shapes = {"small/kernel": (2, 2), "middle/kernel": (10, 10), "large/kernel": (200, 200)}
    assert published_loop(shapes, 0.8, capacity=False)["middle/kernel"] > 1
    kept = erk(shapes, 0.8)
    assert kept["small/kernel"] == 4 and kept["middle/kernel"] == 100
    assert sum(kept.values()) == 40_104 - math.ceil(0.8 * 40_104)


def test_filling_one_tensor_can_fill_the_next():
    """By hand, budget 48 of 120: eps = 48/42 overfills only a (4.57 of 4); then 44/38 * 20 = 23.2 overfills b."""
    shapes = {"a/kernel": (2, 2), "b/kernel": (1, 20), "c/kernel": (8, 12)}
    budget = 48
    eps = budget / (4 + 21 + 20)
    assert 4 * eps > 4 and 21 * eps > 20
    assert erk(shapes, 0.6) == {"a/kernel": 4, "b/kernel": 20, "c/kernel": 24}


def test_largest_remainders_hand_out_what_rounding_left():
    """Three tensors of 10 dims each share 16 of 75 weights: 5 1/3 each, and the first gets the one left over."""
    shapes = dict.fromkeys("abc", (5, 5))
    assert erk(shapes, 59 / 75) == {"a": 6, "b": 5, "c": 5}


def test_a_tensor_too_small_to_get_a_weight_gets_one_from_the_others():
    shapes = {"large/kernel": (100, 100), "small/kernel": (2, 2)}
    assert erk(shapes, 0.9995) == {"large/kernel": 4, "small/kernel": 1}
    assert np.floor(5 * 4 / 204) == 0, "largest remainders alone would have left it empty"
