"""Layers that `wrap` leaves dense."""

from __future__ import annotations

import numpy as np
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.keras2.wrapped_models import removed
from tests.masking.kinds import (
    difference,
    functional,
    kernels,
    normal,
)
from tests.masking.networks import mlp

L = tf_keras.layers


class Prunable(L.Layer):
    def build(self, shape):
        self.kernel = self.add_weight("kernel", (shape[-1], 4))
        self.scale = self.add_weight("scale", (4,))
        super().build(shape)

    def call(self, x):
        return x @ self.kernel * self.scale

    def get_prunable_weights(self):
        return [self.kernel]


def test_layers_that_tf_mot_does_not_know_pass_through_dense():
    layers = [
        L.Dense(6, name="a"),
        L.EinsumDense("ab,bc->ac", 6),
        L.Reshape((2, 3)),
        L.Conv1DTranspose(2, 2),
        L.Flatten(),
        L.Dense(2, name="b"),
    ]
    model = functional((8,), *layers)
    inputs = normal(6, 8)()
    plain = model(inputs)
    model = dlth.wrap(model)
    assert tuple(masking.prunable_weights(model)) == kernels("a", "b")
    assert difference(model(inputs), plain) == 0.0


def test_a_custom_layer_that_names_its_prunable_weights_is_pruned():
    model = removed(functional((8,), Prunable(name="own"), L.Dense(2, name="out")))
    assert tuple(masking.prunable_weights(model)) == ("own/kernel", "out/kernel")
    assert np.count_nonzero(masking.named_weights(dlth.strip(model))["own/kernel"].numpy()) == 16


def test_skip_and_only_take_names_and_patterns():
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), skip="fc*"))) == kernels("out")
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), skip=["fc1", "out"]))) == kernels("fc2")
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), only="fc1, out"))) == kernels("fc1", "out")
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), only="fc*", skip="fc2"))) == kernels("fc1")


def test_wrapping_twice_is_wrapping_once():
    model = dlth.wrap(mlp())
    assert dlth.wrap(model) is model
    partly = dlth.wrap(mlp(), only="fc1")
    assert tuple(masking.prunable_weights(dlth.wrap(partly))) == kernels("fc1", "fc2", "out")
