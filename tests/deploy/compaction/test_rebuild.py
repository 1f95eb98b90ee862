"""The compact model is an ordinary Keras model of the same class."""

from __future__ import annotations

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


class Closed(L.Layer):
    def __init__(self, size):
        super().__init__(name="closed")


def test_a_layer_that_cannot_be_made_again_is_named():
    with pytest.raises(BadInput, match="has a layer closed that cannot be recreated from its config"):
        compact(with_middle(Closed(object())))


def test_a_model_from_a_file_is_made_smaller_too(tmp_path):
    chain("same", True, 0.7).save(tmp_path / "mine.keras")
    assert widths(check(tf_keras.models.load_model(tmp_path / "mine.keras")))["one"] == 4
