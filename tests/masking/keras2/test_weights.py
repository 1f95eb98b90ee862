"""Names of weights, which are the keys of tickets."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.masking.keras2.weights import leaf_layers
from tests.masking.kinds import KINDS, functional, nested
from tests.masking.networks import mlp, wrapped

L = tf_keras.layers


def twins(inner: str = "fc") -> tf_keras.Model:
    """Builds two nested models, each with a layer of the same name."""
    blocks = [
        tf_keras.Sequential([L.Input((6,)), L.Dense(6, name=name)], name=f"block_{name}_{i}")
        for i, name in enumerate(("fc", inner))
    ]
    return functional((6,), *blocks)


def test_names_are_layer_and_weight():
    assert list(masking.named_weights(mlp())) == [
        f"{layer}/{part}" for layer in ("fc1", "fc2", "out") for part in ("kernel", "bias")
    ]


def test_names_are_the_same_wrapped_or_not_and_without_masks():
    for kind in KINDS.values():
        model = kind.model()
        plain = list(masking.named_weights(model))
        assert list(masking.named_weights(dlth.wrap(model))) == plain
        assert len(set(plain)) == len(plain)


def test_attention_tells_its_four_kernels_apart():
    names = [name for name in masking.named_weights(KINDS["attention"].model()) if name.endswith("kernel")]
    assert names == [
        "mha/query/kernel",
        "mha/key/kernel",
        "mha/value/kernel",
        "mha/attention_output/kernel",
        "out/kernel",
    ]


def test_a_shared_layer_is_named_once():
    assert [layer.name for layer in leaf_layers(nested())] == ["shared", "deep", "out"]


def test_an_entry_holds_weight_mask_and_ticket_of_one_shape():
    entry = masking.prunable_weights(wrapped())["fc2/kernel"]
    assert entry.shape == (12, 10) == entry.kept().shape == entry.chosen().shape
    assert entry.layer.kernel is entry.weight
    assert entry.kept().dtype == bool and entry.kept().sum() == 60


def test_layers_of_one_name_in_nested_models_are_told_apart_by_the_models():
    entries = masking.prunable_weights(dlth.wrap(twins()))
    assert len(entries) == 2 and all(name.endswith("/fc/kernel") for name in entries)
    assert entries.keys() <= masking.named_weights(twins()).keys()
    assert len(masking.prunable_weights(dlth.wrap(twins("fc2")))) == 2, "the twin: other names are as they are"


def test_layers_of_one_name_in_one_model_are_refused():
    class Twins(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.pair = [tf_keras.layers.Dense(3, name="fc"), tf_keras.layers.Dense(3, name="fc")]

        def call(self, inputs):
            return self.pair[0](inputs) + self.pair[1](inputs)

    model = Twins()
    model(np.zeros((1, 2), "float32"))
    with pytest.raises(
        BadInput, match="has 2 prunable layers named 'fc': tickets are keyed by layer name, so rename all but one"
    ):
        masking.prunable_weights(dlth.wrap(model))
    with pytest.raises(BadInput, match="has several layers named 'fc' with weights"):
        masking.named_weights(model)


def test_an_unwrapped_model_has_no_prunable_weights():
    with pytest.raises(BadInput, match="model=mlp: is not wrapped"):
        masking.prunable_weights(mlp())
