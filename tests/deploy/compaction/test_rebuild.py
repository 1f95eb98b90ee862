"""The compact model is an ordinary Keras model of the same class."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from dlth_tf.deploy.compaction import compact
from dlth_tf.errors import BadInput
from tests.deploy.compaction.networks import chain, check, widths, with_middle
from tests.deploy.pruned import lively, zero

L = tf_keras.layers


def test_a_sequential_model_stays_one_and_units_go():
    model = tf_keras.Sequential(
        [L.Dense(8, "sigmoid", name="one"), L.Dense(8, "relu", use_bias=False, name="two"), L.Dense(3, name="out")]
    )
    model.build((None, 5))
    zero(lively(model), "one", [0, 1, 2])
    zero(model, "two", [5, 6])
    compacted = check(model)
    assert isinstance(compacted, tf_keras.Sequential) and widths(compacted) == {"one": 6, "two": 6, "out": 3}


@pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])
@pytest.mark.parametrize("place", [0, 1])
def test_an_activation_that_was_set_to_none_is_linear(kind, place):
    layers = [kind.layers.Dense(8, "relu", name="one"), kind.layers.Dense(3, "softmax", name="out")]
    model = kind.Sequential([kind.Input((5,)), *layers])
    layers[0].set_weights([np.ones((5, 8)) * (np.arange(8) > 2), -np.arange(8.0)])
    layers[place].activation = None
    compacted = compact(model)
    given = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    assert compacted.layers[0].units == 5 and layers[place].activation is None
    np.testing.assert_allclose(compacted(given), model(given), atol=1e-5)


@pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])
def test_a_layer_as_an_activation_is_not_shared(kind):
    layers = [kind.layers.Dense(8, kind.layers.PReLU("ones"), name="one"), kind.layers.Dense(3, name="out")]
    model = kind.Sequential([kind.Input((5,)), *layers])
    given = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    model(given)  # Keras 3 builds it now
    layers[0].activation.weights[0].assign(np.arange(8) / 8)
    before = np.asarray(model(given))
    compacted = compact(model)
    np.testing.assert_allclose(compacted(given), before, atol=1e-6)
    assert not {id(weight) for weight in compacted.weights} & {id(weight) for weight in model.weights}
    for weight in compacted.weights:
        weight.assign(weight * 0)
    assert np.array_equal(model(given), before)


class Closed(L.Layer):
    def __init__(self, size):
        super().__init__(name="closed")


def test_a_layer_that_cannot_be_made_again_is_named():
    with pytest.raises(BadInput, match="has a layer closed that cannot be recreated from its config"):
        compact(with_middle(Closed(object())))


def test_a_model_from_a_file_is_made_smaller_too(tmp_path):
    chain("same", True, 0.7).save(tmp_path / "mine.keras")
    assert widths(check(tf_keras.models.load_model(tmp_path / "mine.keras")))["one"] == 4
