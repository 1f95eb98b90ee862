"""The names under which weights and tickets are known."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.masking.keras2.weights import leaf_layers
from tests.masking.networks import KINDS, functional, mlp, nested, wrapped

L = tf_keras.layers


def twins(inner: str = "fc") -> tf_keras.Model:
    """Two nested models, each with a layer of the same name."""
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


def test_layers_of_one_name_in_nested_models_are_refused():
    with pytest.raises(
        BadInput, match="has 2 prunable layers named 'fc': tickets are keyed by layer name, so rename all but one"
    ):
        masking.prunable_weights(dlth.wrap(twins()))
    with pytest.raises(BadInput, match="has several layers named 'fc' with weights"):
        masking.named_weights(twins())
    assert len(masking.prunable_weights(dlth.wrap(twins("fc2")))) == 2, "the twin: other names are fine"


def test_an_unwrapped_model_has_no_prunable_weights():
    with pytest.raises(BadInput, match="model=mlp: is not wrapped"):
        masking.prunable_weights(mlp())
