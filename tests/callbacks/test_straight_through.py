"""StraightThrough against a NumPy replay, and its sparse weights at every moment."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import StraightThrough
from dlth_tf.core import parse_granularity, top_k_mask
from tests.callbacks.refusals import Breaks
from tests.masking.networks import largest_removed, same, watch, weights

STEPS = 12
SIZE = 8
SGD = dlth.optimizers.SGD


def data(dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(STEPS, SIZE, 6)).astype(dtype), rng.normal(size=(STEPS, SIZE, 4)).astype(dtype)


def start() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(6, 4)) / 4, rng.normal(size=4) / 4


def regression(optimizer, **options) -> tf_keras.Model:
    inputs = tf_keras.layers.Input((6,))
    model = dlth.wrap(tf_keras.Model(inputs, tf_keras.layers.Dense(4, name="fc")(inputs)))
    for variable, value in zip(model.get_layer("fc").layer.weights, start(), strict=True):
        variable.assign(value)
    model.compile(optimizer, lambda targets, outputs: tf.reduce_sum((targets - outputs) ** 2, -1) / 2, **options)
    return model


def fit(
    model: tf_keras.Model, callback: StraightThrough, steps: int = STEPS
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Trains for one epoch; returns mask, kernel and bias after every step."""
    entry = next(iter(masking.prunable_weights(model).values()))
    states = []
    bias = masking.named_weights(model)["fc/bias"]

    def note(batch, logs):
        states.append((entry.kept(), entry.weight.numpy(), bias.numpy()))

    spy = tf_keras.callbacks.LambdaCallback(on_train_batch_end=note)
    batches = tf.data.Dataset.from_tensor_slices(tuple(part[:steps] for part in data(tf_keras.backend.floatx())))
    model.fit(batches, verbose=0, callbacks=[callback, spy])
    return states


def replay(
    granularity: str,
    kept: int,
    *,
    at_whole: bool = False,
    masked: bool = False,
    coupled: float = 0.0,
    decoupled: float = 0.0,
):
    """Trains in NumPy with lr .125 and momentum .5; twins take the gradient at the whole weights, or mask it."""
    parsed = parse_granularity(granularity)
    images, targets = data()
    whole, bias = start()
    velocities = [0.0, 0.0]
    states = []

    def top(weight: np.ndarray) -> np.ndarray:
        return parsed.expand(top_k_mask(parsed.pool(np.abs(weight)), kept), weight.shape)

    for x, y in zip(images, targets, strict=True):
        error = x @ (whole if at_whole else whole * top(whole)) + bias - y
        gradients = [x.T @ error / SIZE * (top(whole) if masked else 1), error.sum(0) / SIZE]
        whole = whole * (1 - 0.125 * decoupled)
        bias = bias * (1 - 0.125 * decoupled)
        for place, value in enumerate((whole, bias)):
            velocities[place] = 0.5 * velocities[place] + gradients[place] + coupled * value
        whole = whole - 0.125 * velocities[0]
        bias = bias - 0.125 * velocities[1]
        states.append((top(whole), whole * top(whole), bias))
    return states


def agree(states, expected) -> bool:
    return all(
        np.array_equal(mask, other)
        and np.allclose(kernel, value, rtol=0, atol=1e-12)
        and np.allclose(bias, offset, rtol=0, atol=1e-12)
        for (mask, kernel, bias), (other, value, offset) in zip(states, expected, strict=True)
    )


@pytest.mark.parametrize(("granularity", "kept"), [("weight", 8), ("filter", 2), ("block:2x1", 4)])
def test_the_gradient_at_the_sparse_weights_trains_the_whole_ones(granularity, kept):
    tf_keras.backend.set_floatx("float64")
    callback = StraightThrough(2 / 3 if granularity != "filter" else 0.5, granularity=granularity, dense_layers="none")
    model = regression(SGD(0.125, momentum=0.5, weight_decay=0.0625))
    states = fit(model, callback)
    assert agree(states, replay(granularity, kept, coupled=0.0625))
    for twin in ({"at_whole": True}, {"masked": True}, {"coupled": 0.0}):
        assert not agree(states, replay(granularity, kept, **{"coupled": 0.0625, **twin})), twin
    assert all(not kernel[~mask].any() for mask, kernel, _ in states)
    assert np.array_equal(masking.chosen_ticket(model)["fc/kernel"], states[-1][0])


def test_weights_come_back_with_the_value_that_they_were_trained_to():
    """The replay checks their values; this test checks that there are such weights."""
    masks = np.stack([mask for mask, _, _ in replay("weight", 8)])
    left = masks[:-1] & ~masks[1:]
    back = ~masks[:-1] & masks[1:]
    assert (np.maximum.accumulate(left)[:-1] & back[1:]).any(), "some went and came back"


def test_decoupled_weight_decay_reaches_the_hidden_weights_too():
    tf_keras.backend.set_floatx("float64")
    optimizer = KerasMomentum(0.125, momentum=0.5, weight_decay=0.5)
    states = fit(regression(optimizer), StraightThrough(2 / 3, dense_layers="none"))
    assert agree(states, replay("weight", 8, decoupled=0.5)) and not agree(states, replay("weight", 8))


class KerasMomentum(SGD):
    """The published momentum with Keras' own decoupled weight decay."""

    def __init__(self, rate: float, momentum: float, weight_decay: float) -> None:
        super().__init__(rate, momentum)
        self.weight_decay = weight_decay


def outcome(batches_of=None, **options) -> dict[str, np.ndarray]:
    """Returns the weights after two epochs of 6 steps, of which every one is watched for removed weights."""
    model = regression(SGD(0.125, momentum=0.5), **options)
    seen = watch(model)
    known = tf.data.Dataset.from_tensor_slices(tuple(part[:6] for part in data("float32")))
    batches = known if batches_of is None else batches_of(known)
    model.fit(batches, epochs=2, verbose=0, callbacks=[StraightThrough(2 / 3, dense_layers="none")])
    assert float(seen.largest) == 0.0 == largest_removed(model) and masking.installed(model) is None
    assert int(masking.prunable_weights(model)["fc/kernel"].kept().sum()) == 8
    return weights(model)


def generated(known: tf.data.Dataset) -> tf.data.Dataset:
    return tf.data.Dataset.from_generator(lambda: iter(known), output_signature=known.element_spec)


def test_other_ways_to_run_give_the_same():
    plain = outcome()
    assert same(outcome(steps_per_execution=5), plain)
    assert same(outcome(generated), plain), "of unknown length"
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        for name, value in outcome(**options).items():
            np.testing.assert_allclose(value, plain[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_the_count_and_float32_weights(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    kernel = outcome()["fc/kernel"]
    assert kernel.dtype == np.float32 and (kernel.astype(np.float16).astype(np.float32) != kernel).any()


def test_a_fit_after_one_that_broke_off_works():
    model = regression(SGD(0.125))
    callback = StraightThrough(2 / 3, dense_layers="none")
    with pytest.raises(KeyboardInterrupt):
        model.fit(*(part[0] for part in data("float32")), batch_size=2, verbose=0, callbacks=[callback, Breaks(2)])
    assert fit(model, callback)[-1][0].sum() == 8 and masking.installed(model) is None
