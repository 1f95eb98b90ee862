"""GraSP: w Hg, with the Hessian-gradient product from finite differences of gradients in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import scores
from dlth_tf.scores.grasp import TEMPERATURE
from tests.masking.conftest import keras_session_is_cleared as keras_session_is_cleared
from tests.scores.networks import LABELS, gradients_by_hand, images, two_layers, variables

L = tf_keras.layers
BATCHES = [(images(0), LABELS), (images(1), LABELS[::-1].copy())]


def float64_batches() -> list[tuple[np.ndarray, np.ndarray]]:
    return [(images(0), LABELS), (images(1), LABELS[::-1].copy())]


def by_hand(model: tf_keras.Model, batches, activation: str, temperature: float) -> dict[str, np.ndarray]:
    """Computes the sum over batches of H g, along the sum of the gradients, by central differences."""

    def total(**moved) -> dict[str, np.ndarray]:
        gradients = [gradients_by_hand(model, x, labels, activation, temperature, **moved) for x, labels in batches]
        return {name: sum(one[name] for one in gradients) for name in gradients[0]}

    direction = total()
    step = 1e-4 / max(np.abs(value).max() for value in direction.values())

    def shifted(sign: int) -> dict[str, np.ndarray]:
        return total(**{name.split("/")[0]: sign * step * value for name, value in direction.items()})

    ahead = shifted(1)
    back = shifted(-1)
    weights = {name: variable.numpy() for name, variable in variables(model).items()}
    return {name: weights[name] * (ahead[name] - back[name]) / (2 * step) for name in direction}


@pytest.mark.parametrize(("activation", "temperature"), [("linear", 1.0), ("relu", 1.0), ("linear", TEMPERATURE)])
def test_the_score_is_weight_times_the_hessian_along_the_gradient(activation, temperature):
    tf_keras.backend.set_floatx("float64")
    model = two_layers(activation)
    batches = float64_batches()
    result = scores.grasp(model, variables(model), batches, temperature)
    expected = by_hand(model, batches, activation, temperature)
    for name, value in expected.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(result[name], value, rtol=0, atol=1e-6 * scale)
        assert np.abs(result[name] + value).max() > scale, "the twin: the published sign is the other one"
    single = by_hand(model, batches[:1], activation, temperature)
    assert not np.allclose(
        single["one/kernel"], result["one/kernel"], rtol=0, atol=1e-2 * np.abs(result["one/kernel"]).max()
    )


def test_the_gradient_is_summed_over_all_batches_before_the_product():
    """H1 (g1 + g2) + H2 (g1 + g2), not H1 g1 + H2 g2."""
    tf_keras.backend.set_floatx("float64")
    model = two_layers("linear")
    batches = float64_batches()
    both = scores.grasp(model, variables(model), batches, 1.0)["two/kernel"]
    alone = sum(scores.grasp(model, variables(model), [batch], 1.0)["two/kernel"] for batch in batches)
    assert np.abs(both - alone).max() > 0.01 * np.abs(both).max()


def test_the_temperature_is_the_published_one():
    assert TEMPERATURE == 200
    model = two_layers("relu")
    default = scores.grasp(model, variables(model), BATCHES)
    published = scores.grasp(model, variables(model), BATCHES, 200)
    assert all(np.array_equal(default[name], published[name]) for name in default)
    other = scores.grasp(model, variables(model), BATCHES, 1.0)
    assert np.abs(other["two/kernel"]).max() > 1000 * np.abs(default["two/kernel"]).max()


def normalized() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(2)
    x = inputs = L.Input((4,))
    x = L.ReLU()(L.BatchNormalization(name="bn")(L.Dense(5, name="one")(x)))
    return dlth.wrap(tf_keras.Model(inputs, L.Dense(3, name="two")(x)))


def test_batch_norm_is_in_training_mode_and_its_statistics_are_put_back():
    model = normalized()
    norm = model.get_layer("bn")
    before = [variable.numpy() for variable in model.weights]
    first = scores.grasp(model, variables(model), BATCHES)
    assert all(np.array_equal(variable, value) for variable, value in zip(model.weights, before, strict=True))
    norm.moving_mean.assign_add([5.0] * 5)
    norm.moving_variance.assign([9.0] * 5)
    again = scores.grasp(model, variables(model), BATCHES)
    assert all(np.array_equal(first[name], again[name]) for name in first), "the batches' own statistics count"
    model(BATCHES[0][0], training=True)
    assert not np.allclose(norm.moving_mean, before[3]), "the twin: a forward pass in training mode moves them"


def test_batches_of_different_sizes_each_count_by_their_mean():
    tf_keras.backend.set_floatx("float64")
    model = two_layers("linear")
    batches = float64_batches()
    batches[1] = batches[1][0][:2], batches[1][1][:2]
    result = scores.grasp(model, variables(model), batches, 1.0)
    expected = by_hand(model, batches, "linear", 1.0)
    np.testing.assert_allclose(
        result["two/kernel"], expected["two/kernel"], rtol=0, atol=1e-6 * np.abs(expected["two/kernel"]).max()
    )


def test_half_precision_gives_scores_in_the_weights_dtype():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = normalized()
    assert all(
        score.dtype == np.float32 and score.any() for score in scores.grasp(model, variables(model), BATCHES).values()
    )
