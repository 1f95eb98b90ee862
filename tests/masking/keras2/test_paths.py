"""Weights on paths: counted by hand, by brute force, and unknown where layers are."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking.keras2.paths import weights_on_paths


def pruned(model: keras.Model, **kept: list) -> keras.Model:
    """Returns the wrapped model with these masks (1 = kept), by layer name; other layers are whole."""
    wrapped = dlth.wrap(model)
    entries = masking.prunable_weights(wrapped)
    ticket = {
        f"{name}/kernel": np.asarray(mask, bool).reshape(entries[f"{name}/kernel"].shape) for name, mask in kept.items()
    }
    dlth.apply_ticket(wrapped, dlth.Ticket(ticket), remove=True)
    return wrapped


def on_paths(model: keras.Model) -> dict[str, list]:
    found = weights_on_paths(model)
    assert found is not None
    return {name: mask.astype(int).tolist() for name, mask in found.items()}


def mlp(activation: str = "relu") -> keras.Model:
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, activation, name="a"), keras.layers.Dense(2, name="b")]
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "softmax"])
def test_a_weight_into_a_unit_without_an_exit_or_out_of_one_without_an_entry_is_on_no_path(activation):
    # Unit 0 has no entry, but a bias and an exit; unit 1 has an entry and no exit; unit 2 has both.
    model = pruned(mlp(activation), a=[[0, 1, 1], [0, 1, 0]], b=[[1, 0], [0, 0], [0, 1]])
    assert on_paths(model) == {"a/kernel": [[0, 0, 1], [0, 0, 0]], "b/kernel": [[0, 0], [0, 0], [0, 1]]}


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_paths_of_a_multilayer_perceptron_are_those_of_brute_force(data):
    masks = {
        name: np.array(data.draw(st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1])))
        for name, size in {"a": (2, 3), "b": (3, 2)}.items()
    }
    if not all(mask.any() for mask in masks.values()):
        return
    found = weights_on_paths(pruned(mlp(), **masks))
    a, b = masks["a"].reshape(2, 3), masks["b"].reshape(3, 2)
    assert np.array_equal(found["a/kernel"], a & b.any(1))
    assert np.array_equal(found["b/kernel"], b & a.any(0)[:, None])


def test_a_shortcut_carries_a_path_past_a_dead_convolution_and_pooling_hides_none():
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(2, 3, padding="same", name="first")(inputs)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 1, name="dead")(x)))
    x = keras.layers.MaxPooling2D(2)(keras.layers.Add()([x, y]))
    outputs = keras.layers.Dense(1, name="last")(keras.layers.GlobalMaxPooling2D()(x))
    model = pruned(keras.Model(inputs, outputs), dead=[[0, 0], [0, 1]], last=[[1], [0]])
    # Channel 1 has no exit, so neither its half of the first convolution nor "dead" has one.
    found = on_paths(model)
    assert found["dead/kernel"] == [[[[0, 0], [0, 0]]]] and found["last/kernel"] == [[1], [0]]
    assert found["first/kernel"] == [[[[1, 0]]] * 3] * 3


def test_a_tap_that_only_ever_meets_padding_is_on_no_path():
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Conv2D(1, 3, padding="same", name="conv")])
    found = weights_on_paths(pruned(model))["conv/kernel"][..., 0, 0]
    assert found.tolist() == [[False] * 3, [False, True, False], [False] * 3]


def test_a_shared_layer_and_a_nested_model_count_once():
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="shared")])
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1, name="last")(inner(inner(inputs)))
    model = pruned(keras.Model(inputs, outputs), shared=[[1, 0], [0, 0]], last=[[1], [1]])
    assert on_paths(model) == {"shared/kernel": [[1, 0], [0, 0]], "last/kernel": [[1], [0]]}


@pytest.mark.parametrize("layer", [keras.layers.LayerNormalization(), keras.layers.Lambda(lambda x: x * 0.0)])
def test_a_network_with_another_layer_is_undecided(layer):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), layer, keras.layers.Dense(1)])
    assert weights_on_paths(pruned(model)) is None
