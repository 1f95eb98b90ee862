"""Which layers a ticket leaves whole, and what the layer table says of them."""

from __future__ import annotations

import functools

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.core import PruningSpec
from dlth_tf.masking.dense_layers import TIED
from tests.masking.networks import mlp
from tests.masking.test_residual_ties import basic, network

FIRST, LAST = "the first layer", "the last layer"


@functools.cache
def residual() -> tf_keras.Model:
    """Two basic blocks, built once: what is dense does not depend on what the tests write into it."""
    return network(basic)


def spec(dense_layers: str | list[str] = "auto", granularity: str = "weight") -> PruningSpec:
    return PruningSpec.parse(0.5, granularity=granularity, dense_layers=dense_layers)


def whole(model: tf_keras.Model, *arguments: str) -> dict[str, str]:
    return masking.why_whole(model, spec(*arguments))


def test_auto_is_first_and_last_with_convolutions_and_last_without():
    assert whole(residual()) == {"stem": FIRST, "out": LAST}
    assert whole(dlth.wrap(mlp())) == {"out": LAST}


def test_with_filters_and_channels_auto_leaves_the_tied_whole_too():
    model = residual()
    assert whole(model, "auto", "filter") == {"one_b": TIED, "two_b": TIED, "stem": FIRST, "out": LAST}
    assert set(masking.prunable_of_ticket(model, spec("auto", "filter"))) == {"one_a/kernel", "two_a/kernel"}
    assert set(masking.prunable_of_ticket(model, spec("auto", "channel"))) == {"one_b/kernel", "two_b/kernel"}
    for granularity in ("weight", "block:2x2", "2:4"):
        assert whole(model, "auto", granularity) == {"stem": FIRST, "out": LAST}


@pytest.mark.parametrize("dense_layers", ["first,last", ["first", "last"], "stem, out", ["st*", "out"]], ids=str)
def test_layers_that_are_named_decide_alone(dense_layers):
    model = residual()
    pruned = {"one_a/kernel", "one_b/kernel", "two_a/kernel", "two_b/kernel"}
    assert set(masking.prunable_of_ticket(model, spec(dense_layers, "filter"))) == pruned
    assert set(dlth.random_ticket(model, 0.5, granularity="filter", dense_layers=dense_layers)) == pruned


def test_none_prunes_all_and_a_name_beside_auto_adds_to_it():
    model = residual()
    assert whole(model, "none", "filter") == {} and len(masking.prunable_of_ticket(model, spec("none", "filter"))) == 6
    assert whole(model, "auto,one_a") == {"stem": FIRST, "out": LAST, "one_a": "named by dense_layers"}


def test_the_layer_table_says_why():
    model = network(basic)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, granularity="filter"))
    table = masking.layer_table(model, whole(model, "auto", "filter")).set_index("layer")["why"]
    assert table[["stem", "one_b", "two_b", "out"]].tolist() == [FIRST, TIED, TIED, LAST]
    assert table["one_a"] == "50.00% by the ticket"
    assert masking.layer_table(model).set_index("layer")["why"]["one_b"] == "kept whole by the ticket, or no ticket yet"


@pytest.mark.parametrize(
    ("dense_layers", "sentence"),
    [
        ("fc9", "dense_layers=fc9: matches no prunable layer; use none, first, last, or a pattern for fc1, fc2, out"),
        ("none,fc1", "dense_layers=none,fc1: none cannot be combined with other names"),
        ("*", r"dense_layers=\*: leaves nothing to prune; the prunable layers are fc1, fc2, out"),
    ],
)
def test_what_names_nothing_or_leaves_nothing_is_refused(dense_layers, sentence):
    with pytest.raises(BadInput, match=sentence):
        masking.prunable_of_ticket(dlth.wrap(mlp()), spec(dense_layers))


def test_a_residual_network_of_which_everything_is_tied_has_nothing_to_prune():
    def block(x, channels, name):
        return tf_keras.layers.Add()([tf_keras.layers.Conv2D(channels, 3, padding="same", name=name)(x), x])

    with pytest.raises(BadInput, match="dense_layers=auto: leaves nothing to prune"):
        dlth.random_ticket(network(block), 0.5, granularity="filter")
