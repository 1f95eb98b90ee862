"""SNIP, GraSP and SynFlow of a Keras 3 model: the scores and the ticket of the same network in tf_keras, by backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from dlth_tf import masking, scores
from dlth_tf.core import PruningSpec

SHAPE = (8, 8, 2)
SPEC = PruningSpec.parse(0.6, "global", dense_layers="none")


def network(package):
    """Returns a convolutional network with batch norm and a nested model, of one Keras or the other."""
    layers = package.layers
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization(name="norm")(x))
    inside = layers.Input(x.shape[1:])
    hidden = layers.SeparableConv2D(6, 3, activation="elu", name="separable")(inside)
    x = package.Model(inside, layers.MaxPooling2D(2)(hidden), name="inner")(x)
    x = layers.Dense(5, activation="relu", name="hidden")(layers.Flatten()(x))
    return package.Model(inputs, layers.Dense(3, name="out")(x))


@pytest.fixture(scope="module")
def both():
    """The same network in both Kerases, with the same weights."""
    keras.utils.set_random_seed(0)
    first, second = network(keras), network(tf_keras)
    random = np.random.default_rng(0)
    values = {n: random.normal(size=v.shape) * 0.4 for n, v in masking.named_weights(first).items()}
    for model in (first, second):
        for name, variable in masking.named_weights(model).items():
            variable.assign(np.abs(values[name]) if "variance" in name else values[name])
    return masking.wrap(first), masking.wrap(second)


def batches():
    random = np.random.default_rng(1)
    return [(random.normal(size=(6, *SHAPE)).astype("float32"), np.array([0, 1, 2, 0, 2, 2])) for _ in range(2)]


def synflow(model, weights):
    """Scores the weights when the first of every pair in the hidden layer is removed already."""
    mask = np.arange(weights["hidden/kernel"].shape[0] * 5).reshape(-1, 5) % 2 > 0
    return scores.SynapticFlow(model, weights, SHAPE).score({"hidden/kernel": mask})


SCORES = {
    "snip": lambda model, weights: scores.snip(model, weights, *batches()[0]),
    "grasp": lambda model, weights: scores.grasp(model, weights, batches(), 2.0),
    "synflow": synflow,
}


def weights_of(model):
    return {name: entry.weight for name, entry in masking.prunable_weights(model).items()}


@pytest.mark.parametrize("name", SCORES)
def test_scores_and_ticket_are_those_of_the_same_network_in_tf_keras(name, both):
    found = []
    for model in both:
        before = masking.weight_arrays(model)
        values = SCORES[name](model, weights_of(model))
        for key, value in masking.weight_arrays(model).items():
            np.testing.assert_array_equal(value, before[key], err_msg=f"{key} has changed")
        found.append((values, masking.draw_ticket(model, SPEC, lambda _, made=values: made, name)))
    (mine, ticket), (reference, expected) = found
    assert mine.keys() == reference.keys() and any(score.any() for score in mine.values())
    for key, score in reference.items():
        largest = np.abs(score).max()
        np.testing.assert_allclose(mine[key], score, rtol=1e-4, atol=2e-6 * largest, err_msg=key)
    assert {key: mask.tolist() for key, mask in ticket.items()} == {k: m.tolist() for k, m in expected.items()}


def test_synflow_leaves_the_range_of_float32_and_the_precision_of_the_model_as_it_was():
    layers = [keras.layers.Dense(8, kernel_initializer=keras.initializers.Constant(1e6)) for _ in range(8)]
    model = keras.Sequential([keras.Input((4,)), keras.Sequential(layers), keras.layers.Dense(2)])
    values = scores.SynapticFlow(model, weights_of(masking.wrap(model)), (4,)).score({})
    assert min(score.max() for score in values.values()) > 1e39
    assert keras.ops.dtype(model(np.ones((1, 4), "float32"))) == "float32" and model.dtype == "float32"


@pytest.mark.slow
def test_grasp_has_second_derivatives_of_attention_and_of_embeddings():
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 4, name="words")(inputs)
    x = keras.layers.MultiHeadAttention(2, 3, name="attend")(x, x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.Flatten()(x)))
    tokens = np.random.default_rng(0).integers(0, 7, (6, 5))
    found = scores.grasp(masking.wrap(model), weights_of(model), [(tokens, batches()[0][1])], 1.0)
    assert all(np.isfinite(score).all() and score.any() for score in found.values())
