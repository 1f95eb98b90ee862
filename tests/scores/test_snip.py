"""SNIP: |w g| of a small network, against gradients in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, scores
from dlth_tf.core import PruningSpec
from tests.masking.conftest import keras_session_is_cleared as keras_session_is_cleared
from tests.scores.networks import LABELS, gradients_by_hand, images, two_layers, variables

L = tf_keras.layers


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_the_score_is_weight_times_gradient_in_absolute_value(activation):
    tf_keras.backend.set_floatx("float64")
    model = two_layers(activation)
    result = scores.snip(model, variables(model), images(), LABELS)
    expected = gradients_by_hand(model, images(), LABELS, activation)
    weights = {name: variable.numpy() for name, variable in variables(model).items()}
    assert list(result) == ["one/kernel", "two/kernel"]
    for name, gradient in expected.items():
        np.testing.assert_allclose(result[name], np.abs(weights[name] * gradient), rtol=1e-12, atol=1e-15)
        assert not np.allclose(result[name], np.abs(gradient)) and not np.allclose(result[name], np.abs(weights[name]))
    other = gradients_by_hand(model, images(), LABELS, "linear" if activation == "relu" else "relu")
    assert not np.allclose(result["one/kernel"], np.abs(weights["one/kernel"] * other["one/kernel"])), (
        "the twin: another network"
    )


def test_the_ticket_is_that_of_the_largest_scores_over_all_layers():
    model = dlth.wrap(two_layers("relu"))
    result = scores.snip(model, variables(model), images(), LABELS)
    ticket = masking.draw_ticket(
        model, PruningSpec.parse(0.75, "global", dense_layers="none"), lambda _: result, "snip"
    )
    threshold = np.sort(np.concatenate([score.ravel() for score in result.values()]))[-ticket.size + ticket.removed]
    assert all(np.array_equal(mask, result[name] >= threshold) for name, mask in ticket.items())


def test_weights_are_scored_that_are_asked_for_and_nothing_is_changed():
    model = two_layers("relu")
    before = [weight.numpy() for weight in model.weights]
    whole = scores.snip(model, variables(model), images(), LABELS)
    part = scores.snip(model, {"b": model.get_layer("two").kernel}, images(), LABELS)
    assert list(part) == ["b"] and np.array_equal(part["b"], whole["two/kernel"])
    assert all(np.array_equal(weight, value) for weight, value in zip(model.weights, before, strict=True))


def test_batch_norm_is_in_inference_mode():
    inputs = L.Input((4,))
    model = tf_keras.Model(
        inputs, L.Dense(3, name="two")(L.BatchNormalization(name="bn")(L.Dense(5, name="one")(inputs)))
    )
    norm = model.get_layer("bn")
    norm.moving_mean.assign([0.5, -0.5, 1, 2, 0])
    result = scores.snip(model, variables(model), images(), LABELS)
    assert norm.moving_mean.numpy().tolist() == [0.5, -0.5, 1, 2, 0]
    norm.moving_variance.assign([9.0] * 5)
    assert not np.allclose(
        scores.snip(model, variables(model), images(), LABELS)["two/kernel"], result["two/kernel"]
    ), "they count"


def test_rows_of_an_embedding_and_weights_without_influence_are_scored():
    inputs = L.Input((2,))
    embedding = L.Embedding(5, 3, name="e")
    idle = L.Dense(3, name="idle")
    idle.build((None, 4))
    model = tf_keras.Model(inputs, L.Dense(3, name="two")(L.Flatten()(embedding(inputs))))
    tokens = np.array([[0, 1], [1, 2], [0, 2], [1, 1], [2, 2], [0, 0]])
    result = scores.snip(model, {"e": embedding.embeddings, "idle": idle.kernel}, tokens, LABELS)
    assert (result["e"][:3] > 0).all() and not result["e"][3:].any() and not result["idle"].any()


def test_half_precision_gives_scores_in_the_weights_dtype():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = dlth.wrap(two_layers("relu"))
    assert all(
        score.dtype == np.float32 and score.any()
        for score in scores.snip(model, variables(model), images(), LABELS).values()
    )
