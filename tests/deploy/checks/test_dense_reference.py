"""The dense reference: kernels without zeros inside the block, and the original weights afterwards."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import tf_keras

from dlth_tf.deploy.checks.dense_reference import dense_reference, fill_zeros
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
    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext(), dense_reference(model) as dense:
        assert dense is model and values(model) != before
        assert all(np.all(layer.kernel.numpy() != 0) and not np.any(layer.bias.numpy()) for layer in model.layers)
        assert not fails or 1 / 0
    assert values(model) == before


def test_what_is_kept_stays_and_the_noise_is_as_large():
    kept = np.random.default_rng(0).random((200, 100)) < 0.1
    kernel = np.where(kept, np.random.default_rng(1).normal(0, 0.3, kept.shape), 0)
    dense = fill_zeros("a/kernel", kernel)
    assert np.array_equal(dense[kernel != 0], kernel[kernel != 0]) and abs(np.std(dense[kernel == 0]) - 0.3) < 0.02
    assert np.array_equal(dense, fill_zeros("a/kernel", kernel))
    assert not np.array_equal(dense, fill_zeros("b/kernel", kernel))
    assert np.all(fill_zeros("a/kernel", np.zeros((3, 3))) != 0)
