"""Layers that a ticket leaves whole, and their reasons in the layer table."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.core import PruningSpec
from dlth_tf.masking.dense_layers import FROZEN, TIED
from tests.masking.networks import compiled, largest_removed, mlp, same, train, weights
from tests.masking.residual_networks import basic, network

FIRST = "the first layer"
LAST = "the last layer"


@functools.cache
def residual() -> tf_keras.Model:
    """Builds two basic blocks, once: the dense layers do not depend on what the tests write into the model."""
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


def frozen_base(**trainable: bool) -> tf_keras.Model:
    """Builds fc1, fc2, out, wrapped, of which the layers named are trained or not."""
    model = mlp()
    for name, value in trainable.items():
        model.get_layer(name).trainable = value
    return dlth.wrap(model)


def test_a_frozen_layer_stays_whole_whatever_dense_layers_says():
    model = frozen_base(fc1=False)
    for dense_layers in ("auto", "none", "last", "fc2"):
        assert whole(model, dense_layers)["fc1"] == FROZEN
        assert "fc1/kernel" not in dlth.random_ticket(model, 0.5, dense_layers=dense_layers)
        assert "fc1/kernel" not in dlth.magnitude_ticket(model, 0.5, dense_layers=dense_layers)


def test_a_layer_inside_a_frozen_model_is_frozen():
    base = mlp()
    base.trainable = False
    layers = [tf_keras.layers.Dense(4, name="head"), tf_keras.layers.Dense(2, name="end")]
    model = dlth.wrap(tf_keras.Sequential([tf_keras.layers.Input((8,)), base, *layers]))
    assert list(dlth.random_ticket(model, 0.5)) == ["head/kernel"]
    assert set(whole(model)) >= {"fc1", "fc2", "out"} and whole(model)["out"] == FROZEN
    model.get_layer("mlp").trainable = True
    assert list(dlth.random_ticket(model, 0.5)) == ["fc1/kernel", "fc2/kernel", "out/kernel", "head/kernel"]


def test_a_layer_that_is_frozen_after_wrap_stays_whole():
    model = dlth.wrap(mlp())
    model.get_layer("fc2").trainable = False
    assert list(dlth.random_ticket(model, 0.5)) == ["fc1/kernel"]


@pytest.mark.parametrize("pattern", ["fc1", "fc?", "fc1/kernel", "f*"])
def test_a_frozen_layer_that_the_allocation_names_is_pruned(pattern):
    model = frozen_base(fc1=False)
    assert "fc1/kernel" in dlth.random_ticket(model, 0.5, allocation={pattern: 0.5, "*": 0.25})


def test_a_frozen_layer_is_not_named_by_a_pattern_for_all():
    model = frozen_base(fc1=False)
    assert list(dlth.random_ticket(model, 0.5, allocation={"*": 0.5})) == ["fc2/kernel"]


def test_the_layer_table_says_which_layers_are_frozen():
    model = frozen_base(fc1=False)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5))
    why = dlth.layer_table(model).set_index("layer").why
    assert why.tolist() == [FROZEN, "50.00% by the ticket", "kept whole by the ticket, or no ticket yet"]


def test_a_network_of_frozen_layers_alone_is_refused():
    model = frozen_base(fc1=False, fc2=False, out=False)
    with pytest.raises(BadInput, match="model=mlp: has only frozen layers to prune: set trainable=True, or name"):
        dlth.random_ticket(model, 0.5)
    assert set(dlth.random_ticket(model, 0.5, allocation={"fc*": 0.5})) == {"fc1/kernel", "fc2/kernel"}


def test_a_transformation_of_a_frozen_layer_is_refused():
    model = compiled(frozen_base(fc1=False))
    mask = dlth.callbacks.RandomMask(0.5, allocation={"fc1": 0.5})
    penalty = dlth.callbacks.RSTPenalty(step=0.25, every=1, limit=0.5, hold_steps=3)
    before = weights(model)
    sentence = "has a ticket for fc1/kernel, which no penalty can squeeze, since trainable is False"
    with pytest.raises(BadInput, match=sentence):
        train(model, [mask, penalty])
    assert same(weights(model), before) and masking.installed(model) is None
    mask = dlth.callbacks.RandomMask(0.5, allocation={"fc1": 0.5}, remove=True)
    train(model, [mask])
    assert largest_removed(model) == 0.0 and np.mean(weights(model)["fc1/kernel"] == 0) == 0.5


def test_layers_that_are_frozen_between_wrap_and_fit_are_left_out_of_every_callback():
    for callbacks in (
        [dlth.callbacks.GradualMagnitude(0.5, every=1)],
        [dlth.callbacks.StraightThrough(0.5)],
        [dlth.callbacks.IMP(0.5, rounds=1)],
        [dlth.callbacks.RandomMask(0.5, remove=True), dlth.callbacks.DynamicSparsity(every=2)],
    ):
        model = dlth.wrap(mlp())
        model.get_layer("fc1").trainable = False
        before = weights(model)["fc1/kernel"]
        train(compiled(model, run_eagerly=True), callbacks, epochs=2)
        assert np.array_equal(weights(model)["fc1/kernel"], before)
        assert largest_removed(model) == 0.0 and set(masking.chosen_ticket(model)) == {"fc2/kernel"}


def test_a_network_is_pruned_further_in_its_second_stage_when_it_is_unfrozen():
    model = compiled(frozen_base(fc1=False))
    train(model, [dlth.callbacks.RandomMask(0.5, remove=True)])
    first = masking.chosen_ticket(model)
    model.get_layer("fc1").trainable = True
    compiled(model, tf_keras.optimizers.Adam(1e-3))
    train(model, [dlth.callbacks.RandomMask(0.5, remove=True)])
    second = masking.chosen_ticket(model)
    assert list(first) == ["fc2/kernel"] and list(second) == ["fc1/kernel", "fc2/kernel"]
    assert np.array_equal(first["fc2/kernel"], second["fc2/kernel"]) and largest_removed(model) == 0.0
