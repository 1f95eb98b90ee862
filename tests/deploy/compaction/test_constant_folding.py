"""Constant channels are folded into biases or merged, and outputs stay the same."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

from dlth_tf.deploy.compaction import compact, constant_folding
from tests.deploy.compaction.networks import chain, check, widths, with_middle
from tests.deploy.pruned import difference, lively, zero

L = tf_keras.layers


@pytest.mark.parametrize(
    ("padding", "use_bias", "beta", "left"),
    [
        ("same", True, 0.7, 4),  # at the border a constant is not constant: one channel carries all three
        ("same", False, 0.7, 4),
        ("valid", False, 0.7, 4),  # no bias to fold it into
        ("valid", True, 0.7, 3),
        ("same", False, 0.0, 3),
        ("same", False, -0.7, 3),  # 0 after the ReLU
    ],
)
def test_of_constants_one_channel_stays_and_only_where_no_bias_can_take_them(padding, use_bias, beta, left):
    assert widths(check(chain(padding, use_bias, beta))) == {"one": left, "two": 5, "out": 3}


def test_the_largest_constant_carries_the_others():
    model = chain("same", False, 0.7)
    compacted = compact(model)
    assert np.allclose(compacted.get_layer("norm").beta, [0.1, 0.2, 2.1, -0.1])
    kernel = model.get_layer("two").kernel.numpy()
    merged = kernel[:, :, 3] + kernel[:, :, 1] / 3 + kernel[:, :, 4] * 2 / 3
    assert np.allclose(compacted.get_layer("two").kernel[:, :, 2], merged, atol=1e-6)


def test_a_network_whose_constants_are_thrown_away_would_differ(monkeypatch):
    def throw_away(kernel, values, members, partner):
        kernel[:, members] = 0

    monkeypatch.setattr(constant_folding, "_merge", throw_away)
    model = chain("same", False, 0.7)
    assert difference(model, compact(model)) > 0.01


def test_a_channel_that_is_zero_padded_before_a_strided_convolution_is_merged_too():
    x = inputs = L.Input((6, 6, 2))
    x = L.ReLU()(L.Conv2D(6, 3, padding="same", name="one")(x))
    x = L.Conv2D(4, 3, 2, use_bias=True, name="two")(L.ZeroPadding2D(1)(x))
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(L.Flatten()(x))))
    zero(model, "one", [1, 3, 4])
    model.get_layer("one").bias.assign([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert widths(check(model))["one"] == 4


def test_a_batch_norm_that_multiplies_by_zero_removes_a_filter_too():
    model = with_middle(L.BatchNormalization(name="middle"))
    model.get_layer("middle").gamma.assign([1.0, 1.0, 0.0, 1.0])
    assert widths(check(model))["before"] == 2, "the one with weights, and one for three constants"
