"""compact on random networks: whatever the layers and the removed channels, outputs stay the same."""

from __future__ import annotations

from typing import Any

import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.deploy.compaction.networks import check
from tests.deploy.pruned import lively


@st.composite
def networks(draw, package: Any = tf_keras) -> Any:
    """Draws a chain of known layers with added or concatenated branches and with removed filters and channels.

    Args:
      draw: Of Hypothesis.
      package: The Keras of the network.
    """
    L = package.layers
    choose, channels = lambda *options: draw(st.sampled_from(options)), draw(st.integers(1, 3))
    x = inputs = L.Input((6, 6, channels))
    for _ in range(draw(st.integers(1, 5))):
        x = _layer(L, choose, x)
    x = choose(L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D)()(x)
    x = L.Dense(4, choose("relu", "sigmoid", None), use_bias=choose(True, False))(x)
    model = lively(package.Model(inputs, L.Dense(3)(x)), seed=draw(st.integers(0, 99)))
    for layer in [layer for layer in model.layers if hasattr(layer, "kernel")][:-1]:
        kernel = layer.kernel.numpy()
        kernel[..., draw(st.lists(st.booleans(), min_size=kernel.shape[-1], max_size=kernel.shape[-1]))] = 0
        if choose(True, False):
            kernel[..., draw(st.lists(st.booleans(), min_size=kernel.shape[-2], max_size=kernel.shape[-2])), :] = 0
        layer.kernel.assign(kernel)
    return model


def _layer(L, choose, x):
    padding = choose("same", "valid")
    bias = choose(True, False)
    activation = choose("relu", "sigmoid", None)
    if min(x.shape[1:3]) < 3:
        padding = "same"
    return choose(
        lambda: L.Conv2D(4, 3, choose(1, 2), padding=padding, use_bias=bias, activation=activation)(x),
        lambda: L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding=padding, use_bias=False)(x))),
        lambda: L.ReLU()(L.BatchNormalization()(x)),
        lambda: L.DepthwiseConv2D(
            3, padding=padding, depth_multiplier=choose(1, 2), use_bias=bias, activation=activation
        )(x),
        lambda: choose(L.MaxPooling2D, L.AveragePooling2D)(3, choose(1, 2), padding=padding)(x),
        lambda: L.ZeroPadding2D(choose(1, ((0, 1), (2, 0))))(x),
        lambda: L.ZeroPadding2D(((0, 0), (1, 2)), data_format="channels_first")(x),
        lambda: choose(L.Add, L.Multiply, L.Maximum)()([x, L.Conv2D(x.shape[-1], 3, padding="same", use_bias=bias)(x)]),
        lambda: L.Concatenate()([x, L.Conv2D(2, 3, padding="same", activation=activation)(x)]),
    )()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(networks())
def test_any_network_has_the_same_outputs(model):
    check(model)


@pytest.mark.faults
@settings(max_examples=200, deadline=None)
@given(networks())
def test_very_many_networks_have_the_same_outputs(model):
    check(model)
