"""The wrapper: its variables, its forward pass and its configuration."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking import MaskedLayer
from tests.masking.keras2.wrapped_models import marked, state
from tests.masking.kinds import KINDS, difference, normal
from tests.masking.networks import kept_whole, mlp, same, weights

L = tf_keras.layers


def test_masks_and_tickets_are_ones_of_the_weights_dtype_and_not_trained():
    model = dlth.wrap(mlp())
    assert kept_whole(model)
    for entry in masking.prunable_weights(model).values():
        assert entry.chosen().all() and entry.mask.shape == entry.ticket.shape == entry.weight.shape
        assert entry.mask.dtype == entry.ticket.dtype == entry.weight.dtype
        assert not entry.mask.trainable and not entry.ticket.trainable
    assert len(model.trainable_variables) == len(mlp().trainable_variables)


def test_the_wrapper_has_the_name_of_its_layer():
    model = dlth.wrap(mlp())
    assert [layer.name for layer in model.layers] == ["fc1", "fc2", "out"]
    assert model.output_names == mlp().output_names


def test_losses_and_targets_by_output_name_go_on_as_before():
    inputs = L.Input((8,))
    hidden = L.Dense(4, name="hidden")(inputs)
    model = dlth.wrap(tf_keras.Model(inputs, [L.Dense(1, name="left")(hidden), L.Dense(1, name="right")(hidden)]))
    model.compile("sgd", {"left": "mse", "right": "mae"})
    logs = model.fit(normal(8, 8)(), {"left": np.ones((8, 1)), "right": np.ones((8, 1))}, verbose=0).history
    assert set(logs) == {"loss", "left_loss", "right_loss"}


def test_every_variable_has_a_name_of_its_own():
    for kind in ("embedding, lstm", "attention"):
        for layer in dlth.wrap(KINDS[kind].model()).layers:
            names = [weight.name for weight in layer.weights]
            assert len(set(names)) == len(names)


def test_the_forward_pass_is_the_inner_layers_own():
    model = dlth.wrap(mlp())
    inputs = normal(4, 8)()
    before = model(inputs)
    for entry in masking.prunable_weights(model).values():
        entry.mask.assign(tf.zeros(entry.shape))
    assert difference(model(inputs, training=True), before) == 0.0
    assert not same(weights(model), {name: np.zeros_like(value) for name, value in weights(model).items()}), (
        "and nothing was written"
    )


def test_config_round_trip_keeps_the_layer():
    layer = MaskedLayer(L.Dense(4, "relu", name="fc", dtype="float64"))
    copy = MaskedLayer.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.name, copy.layer.units, copy.layer.activation, copy.dtype) == (
        "fc",
        4,
        tf_keras.activations.relu,
        "float64",
    )
    assert (
        MaskedLayer.from_config({**layer.get_config(), "layer": tf_keras.layers.serialize(L.Dense(5))}).layer.units == 5
    )


def test_a_model_from_its_config_takes_the_weights_masks_and_tickets():
    model = marked(mlp())
    copy = tf_keras.Sequential.from_config(model.get_config())
    assert not same(state(copy), state(model))
    copy.set_weights(model.get_weights())
    assert same(state(copy), state(model))


def test_a_cloned_model_takes_the_weights_masks_and_tickets():
    model = marked(mlp())
    copy = tf_keras.models.clone_model(model)
    assert all(entry.kept().all() for entry in masking.prunable_weights(copy).values()), (
        "like all weights of a clone, they are new"
    )
    copy.set_weights(model.get_weights())
    assert same(state(copy), state(model))
