"""The dense twin: no zeros in the kernels while it lasts, and the model as it was afterwards."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import tf_keras

from dlth_tf.deploy.checks.dense_reference import dense_twin, filled
from dlth_tf.masking import named_weights

layers = tf_keras.layers


def network() -> tf_keras.Model:
    model = tf_keras.Sequential([tf_keras.Input((20,)), layers.Dense(30, name="body"), layers.Dense(3, name="head")])
    for layer in model.layers:
        layer.kernel.assign(
            np.where(np.random.default_rng(0).random(layer.kernel.shape) < 0.3, layer.kernel.numpy(), 0)
        )
    return model


def values(model: tf_keras.Model) -> dict[str, bytes]:
    return {name: variable.numpy().tobytes() for name, variable in named_weights(model).items()}


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_gets_its_weights_back(fails):
    model = network()
    before = values(model)
    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext(), dense_twin(model) as twin:
        assert twin is model and values(model) != before
        assert all(np.all(layer.kernel.numpy() != 0) and not np.any(layer.bias.numpy()) for layer in model.layers)
        assert not fails or 1 / 0
    assert values(model) == before


def test_what_is_kept_stays_and_the_noise_is_as_large():
    kernel = np.where(
        np.random.default_rng(0).random((200, 100)) < 0.1, np.random.default_rng(1).normal(0, 0.3, (200, 100)), 0
    )
    twin = filled("a/kernel", kernel)
    assert np.array_equal(twin[kernel != 0], kernel[kernel != 0]) and abs(np.std(twin[kernel == 0]) - 0.3) < 0.02
    assert np.array_equal(twin, filled("a/kernel", kernel)) and not np.array_equal(twin, filled("b/kernel", kernel))
    assert np.all(filled("a/kernel", np.zeros((3, 3))) != 0)
