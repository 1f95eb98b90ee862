"""Layers built anew compute the same, whatever `adapt` has told them and whatever is inside them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.copied_layers import fill, lookup_tables, recreated

L = tf_keras.layers
NUMBERS = np.random.default_rng(0).normal(3, 2, (20, 4)).astype(np.float32)
WORDS = np.array([["cat", "dog"], ["bird", "dog"]])


def adapted(layer: L.Layer, data: np.ndarray) -> L.Layer:
    layer.adapt(data)
    return layer


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (lambda: adapted(L.Normalization(), NUMBERS), NUMBERS),
        (lambda: adapted(L.Discretization(num_bins=3), NUMBERS), NUMBERS),
        (lambda: adapted(L.StringLookup(), WORDS), WORDS),
        (lambda: L.StringLookup(vocabulary=["dog"]), WORDS),
        (lambda: adapted(L.TextVectorization(output_sequence_length=2), WORDS[:, :1]), WORDS[:, :1]),
        (lambda: L.Dense(3, activation=lambda x: x + 1), NUMBERS),
        (lambda: L.TimeDistributed(L.Dense(3)), NUMBERS[:, None]),
    ],
)
def test_a_layer_built_anew_computes_the_same(make, data):
    layer = make()
    expected = layer(tf.constant(data))
    other = recreated(layer)
    other(tf.constant(data))
    fill(other, layer.get_weights())
    assert other is not layer and np.array_equal(other(tf.constant(data)), expected)


def test_only_layers_with_tables_share_them():
    layer = adapted(L.StringLookup(), WORDS)
    assert list(lookup_tables(recreated(layer))) == list(lookup_tables(layer)) != []
    assert list(lookup_tables(L.Dense(3))) == []


def test_another_precision_reaches_the_layers_inside():
    layer = L.TimeDistributed(L.Dense(3, dtype="mixed_float16"), dtype="mixed_float16")
    other = recreated(layer, dtype="float32")
    assert (other.compute_dtype, other.layer.compute_dtype) == ("float32", "float32")
    assert recreated(layer).layer.compute_dtype == "float16"
    assert recreated(L.Hashing(5), dtype="float32").compute_dtype == "int64"
