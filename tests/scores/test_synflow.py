"""SynFlow: scores by hand, the conservation law in every kind of network, and the range of numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, scores
from dlth_tf.core import cumulative_sparsity
from dlth_tf.scores.keras2 import in_float64
from tests.masking.conftest import keras_session_is_cleared as keras_session_is_cleared
from tests.masking.kinds import KINDS, L
from tests.scores.networks import two_layers, variables


def flow(model: tf_keras.Model, masks=None, shape: tuple[int, ...] = (4,)) -> dict[str, np.ndarray]:
    return scores.SynapticFlow(model, variables(model), shape).score(masks or {})


@pytest.mark.parametrize("wrap", [False, True])
def test_two_layers_by_hand(wrap):
    model = two_layers("relu")
    model.get_layer("one").bias.assign([-1, 2, 0, 0, 1])
    model = dlth.wrap(model) if wrap else model
    w1, w2 = (np.abs(variable.numpy().astype("float64")) for variable in variables(model).values())
    result = flow(model)
    np.testing.assert_allclose(result["one/kernel"], w1 * w2.sum(1), rtol=1e-12)
    np.testing.assert_allclose(result["two/kernel"], w2 * (w1.sum(0) + np.array([1, 2, 0, 0, 1]))[:, None], rtol=1e-12)
    assert all(score.dtype == np.float64 for score in result.values())


def test_removed_weights_score_zero_and_carry_nothing():
    model = two_layers("relu")
    w1, w2 = (np.abs(variable.numpy().astype("float64")) for variable in variables(model).values())
    masks = {"one/kernel": np.arange(20).reshape(4, 5) % 3 > 0}
    result = flow(model, masks)
    np.testing.assert_allclose(result["one/kernel"], w1 * masks["one/kernel"] * w2.sum(1), rtol=1e-12)
    np.testing.assert_allclose(result["two/kernel"], w2 * (w1 * masks["one/kernel"]).sum(0)[:, None], rtol=1e-12)


def test_neither_signs_nor_scores_of_other_calls_matter():
    model = two_layers("relu")
    flipped = two_layers("relu")
    kernel = flipped.get_layer("one").kernel
    kernel.assign(-kernel)
    assert np.array_equal(flow(model)["one/kernel"], flow(flipped)["one/kernel"])
    scorer = scores.SynapticFlow(model, variables(model), (4,))
    first = scorer.score({})
    scorer.score({"two/kernel": np.arange(15).reshape(5, 3) % 2 > 0})
    assert all(np.array_equal(first[name], score) for name, score in scorer.score({}).items())
    kernel.assign(2 * kernel)
    np.testing.assert_allclose(flow(flipped)["one/kernel"], 2 * first["one/kernel"], rtol=1e-12)


# Kinds of network that are linear on positive numbers, with every path leading through each of these layers once.
CONSERVED = {
    "sequential": ("a", "b"),
    "sequential built by a call": ("a", "b"),
    "conv1d": ("c", "out"),
    "conv2d, batch norm, dropout": ("c", "out"),
    "conv2d transposed, separable": ("t/kernel", "s/pointwise_kernel"),
    "attention": ("mha/value", "mha/attention_output", "out"),
    "subclassed": ("block_0", "block_1", "block_left", "block_more", "pair_0", "pair_1", "head"),
    "subclassed inside functional": ("in", "block_0", "block_1", "block_left", "block_more", "out"),
}


@pytest.mark.fast_cases("conv2d, batch norm, dropout", "attention", "subclassed")
@pytest.mark.parametrize("name", CONSERVED)
def test_the_sum_of_scores_is_the_same_in_every_layer(name):
    """The conservation law of Tanaka et al., section 4, for networks without biases (they start at zero)."""
    model = dlth.wrap(KINDS[name].model())
    before = [variable.numpy() for variable in model.weights]
    entries = {key: entry.weight for key, entry in masking.prunable_weights(model).items()}
    result = scores.SynapticFlow(model, entries, KINDS[name].inputs().shape[1:]).score({})
    sums = [score.sum() for key, score in result.items() if key.startswith(CONSERVED[name])]
    assert len(sums) == len(CONSERVED[name]) and sums[0] > 0
    copied = result[next(iter(result))].dtype == np.float64
    assert copied != name.startswith("subclassed")
    np.testing.assert_allclose(sums, sums[0], rtol=1e-12 if copied else 1e-5)
    assert all(np.array_equal(variable, value) for variable, value in zip(model.weights, before, strict=True))


def test_a_layer_that_is_used_twice_has_twice_the_flow():
    """The path is shared, inner model, shared, inner model again: 3 uses of one layer and 2 of the other."""
    model = dlth.wrap(KINDS["nested, shared"].model())
    entries = {key: entry.weight for key, entry in masking.prunable_weights(model).items()}
    result = {key: score.sum() for key, score in scores.SynapticFlow(model, entries, (6,)).score({}).items()}
    np.testing.assert_allclose(
        [result["shared/kernel"], result["deep/kernel"]],
        [3 * result["out/kernel"], 2 * result["out/kernel"]],
        rtol=1e-12,
    )


@pytest.mark.fast_cases("conv2d, batch norm, dropout", "attention", "nested, shared")
@pytest.mark.parametrize("name", [name for name in KINDS if "subclassed" not in name and "operations" not in name])
def test_a_copy_in_float64_has_a_twin_of_every_weight_and_gives_the_same(name):
    model = dlth.wrap(KINDS[name].model())
    copy, twins = in_float64(model)
    assert len({id(twin) for twin in twins.values()}) == len(model.weights) == len(twins)
    for variable in model.weights:
        twins[id(variable)].assign(variable.numpy())
    for ours, theirs in zip(
        tf.nest.flatten(model(KINDS[name].inputs())), tf.nest.flatten(copy(KINDS[name].inputs())), strict=True
    ):
        assert theirs.dtype == tf.float64
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
        assert np.abs(theirs).max() > 1e-3, "not zero against zero"


def test_a_network_with_numbers_of_another_dtype_lends_itself():
    inputs = L.Input((4,))
    model = tf_keras.Model(inputs, L.Dense(3, name="two")(2.0 * tf.nn.relu(L.Dense(5, name="one")(inputs))))
    w1, w2 = (np.abs(variable.numpy()) for variable in variables(model).values())
    before = [variable.numpy() for variable in model.weights]
    np.testing.assert_allclose(flow(model)["one/kernel"], 2 * w1 * w2.sum(1), rtol=1e-5)
    assert all(np.array_equal(variable, value) for variable, value in zip(model.weights, before, strict=True))
    assert flow(model)["one/kernel"].dtype == np.float32 and flow(two_layers("relu"))["one/kernel"].dtype == np.float64


def deep(nested: bool) -> tf_keras.Model:
    """Builds 30 layers of 64 units with weights near 3, whose flow is about (64 * 3)^30 = 10^68."""
    tf_keras.utils.set_random_seed(0)
    ends = [L.Input((4,)), L.Dense(64, name="in")]
    hidden = [
        L.Dense(64, kernel_initializer=tf_keras.initializers.RandomNormal(3.0, 0.1), name=f"fc{i}") for i in range(30)
    ]
    body = [tf_keras.Sequential([L.Input((64,)), *hidden], name="body")] if nested else hidden
    return tf_keras.Sequential([*ends, *body, L.Dense(3, name="out")])


@pytest.mark.parametrize("nested", [False, True])
def test_deep_networks_do_not_leave_the_range_of_numbers(nested):
    model = deep(nested)
    result = flow(model)
    np.testing.assert_allclose([score.sum() for score in result.values()], result["out/kernel"].sum(), rtol=1e-10)
    assert result["out/kernel"].sum() > np.finfo("float32").max
    for variable in model.weights:
        variable.assign(tf.abs(variable))
    assert not np.isfinite(model(np.ones((1, 4), "float32"))).all(), "the twin: float32 overflows"


def test_a_network_without_flow_and_one_that_overflows_all_the_same_are_errors():
    model = two_layers("relu")
    with pytest.raises(FloatingPointError, match="no synaptic flow is left: a layer has lost every connection"):
        flow(model, {"two/kernel": np.zeros((5, 3), bool)})
    model.get_layer("two").kernel.assign(np.full((5, 3), np.float32("inf")))
    with pytest.raises(FloatingPointError, match="leaves the range of floating-point numbers"):
        flow(model)


def test_a_hundred_rounds_keep_the_published_shares():
    """rho^(k/100) for rho = .1 (Tanaka et al., algorithm 1)."""
    shares = [1 - float(cumulative_sparsity(0.9, number, 100)) for number in (1, 10, 25, 50, 75, 100)]
    assert [round(share, 4) for share in shares] == [0.9772, 0.7943, 0.5623, 0.3162, 0.1778, 0.1]
