"""RSTPenalty: its update is the published one, and nothing but the steps decides the outcome."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import RSTPenalty
from tests.callbacks.transforming import StopAfter, chosen, penalty, transform
from tests.masking.networks import (
    LOSS,
    batches,
    compiled,
    kept_whole,
    watch,
    weights,
    wrapped,
)

SGD = dlth.optimizers.SGD


def gradients(model: tf_keras.Model, step: int) -> dict[str, np.ndarray]:
    x, y = list(batches(step + 1, dtype="float64"))[step]
    with tf.GradientTape() as tape:
        loss = LOSS(y, model(x))
    values = tape.gradient(loss, model.trainable_variables)
    return {name: value.numpy() for name, value in zip(masking.named_weights(model), values, strict=True)}


def steps_by_hand(
    model: tf_keras.Model, count: int, block_loss_grad: bool, after_momentum: bool = False
) -> dict[str, np.ndarray]:
    """Computes the published update in NumPy: lambda .5, 1, ..., lr .125, momentum .75, weight decay .0625."""
    entries = masking.prunable_weights(model)
    variables = masking.named_weights(model)
    velocity = dict.fromkeys(variables, 0.0)
    for step in range(count):
        gradient = gradients(model, step)
        values = weights(model)
        for name, value in values.items():
            dropped = ~entries[name].chosen() if name in entries else np.zeros(value.shape, bool)
            term = 0.5 * (step + 1) * dropped * value if dropped.any() else 0.0
            loss_gradient = 0.0 if block_loss_grad and name in entries else gradient[name]
            direction = loss_gradient + 0.0625 * value + (0.0 if after_momentum else term)
            velocity[name] = 0.75 * velocity[name] + direction
            variables[name].assign(value - 0.125 * (velocity[name] + (term if after_momentum else 0.0)))
    return weights(model)


@pytest.mark.fast_cases("1-False", "3-True")
@pytest.mark.parametrize("block_loss_grad", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_update_is_the_published_one(count, block_loss_grad):
    tf_keras.backend.set_floatx("float64")
    callback = RSTPenalty(step=0.5, every=1, limit=2.0, hold_steps=0, block_loss_grad=block_loss_grad)
    model = compiled(chosen(), SGD(0.125, momentum=0.75, weight_decay=0.0625))
    with pytest.raises(RuntimeError, match=f"ended after {count} of"):
        model.fit(batches(callback.steps, dtype="float64"), verbose=0, callbacks=[callback, StopAfter(count)])
    expected = steps_by_hand(chosen(), count, block_loss_grad)
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)
    for twist in ((not block_loss_grad, False), (block_loss_grad, True)):
        distance = np.abs(steps_by_hand(chosen(), count, *twist)["fc1/kernel"] - expected["fc1/kernel"]).max()
        assert distance > 1e-3 or (count == 1 and twist[1]), (
            "the twin: another update is seen, after momentum from the second step on"
        )


def test_blocking_the_loss_trains_biases_alone():
    model = compiled(chosen(), SGD(0.1))
    before = weights(model)
    transform(model, penalty(block_loss_grad=True, remove_at_end=False))
    after = weights(model)
    for name, entry in masking.prunable_weights(model).items():
        np.testing.assert_array_equal(after[name][entry.chosen()], before[name][entry.chosen()])
        assert (np.abs(after[name]) < np.abs(before[name]))[~entry.chosen()].all()
    assert all((after[f"{layer}/bias"] != before[f"{layer}/bias"]).any() for layer in ("fc1", "fc2", "out"))


def test_kept_weights_are_bit_untouched_by_the_removal():
    outcomes = []
    for remove_at_end in (False, True):
        model = compiled(chosen())
        transform(model, penalty(remove_at_end=remove_at_end))
        outcomes.append(weights(model))
    ticket = masking.chosen_ticket(model)
    for name, squeezed in outcomes[0].items():
        mask = ticket[name] if name in ticket else np.ones(squeezed.shape, bool)
        assert outcomes[1][name].tobytes() == np.where(mask, squeezed, 0).astype("float32").tobytes()
        assert mask.all() or np.all(squeezed[~mask] != 0), "they were there until the removal"


def test_remove_at_end_can_be_left_to_later():
    model = compiled(chosen())
    transform(model, penalty(remove_at_end=False))
    assert kept_whole(model) and masking.installed(model) is None
    with pytest.raises(BadInput, match="not removed yet"):
        dlth.strip(model)


def test_weights_that_an_earlier_cycle_removed_stay_removed():
    model = wrapped(0.5)
    masking.choose(model, dlth.random_ticket(model, 0.8))
    seen = watch(model)
    transform(compiled(model), penalty())
    assert int(seen.steps) == 17 and float(seen.largest) == 0.0
    assert masking.chosen_ticket(model).removed == 173


def test_the_loss_is_not_polluted_by_the_penalty():
    losses = []
    for callbacks in ([], [RSTPenalty(step=100.0, every=1, limit=1.0, hold_steps=0, remove_at_end=False)]):
        model = compiled(chosen())
        model.compile(SGD(0.1), LOSS, metrics=["accuracy"])
        losses.append(model.fit(batches(1), verbose=0, callbacks=callbacks).history)
    assert losses[0]["loss"] == losses[1]["loss"] and losses[0]["accuracy"] == losses[1]["accuracy"]
    assert losses[1]["penalty"] == [100.0]


def test_the_history_has_the_penalty_of_every_epochs_last_step():
    history = transform(compiled(chosen()), penalty(), per_epoch=3).history["penalty"]
    assert history == [0.5, 0.75, 0.75, 0.75, 0.75, 0.75] and len(history) == penalty().epochs(3)
    by_step = transform(compiled(chosen()), penalty(), per_epoch=1).history["penalty"]
    assert by_step[:6] == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]


def test_the_penalty_has_the_length_that_the_weights_dtype_gives_it():
    options = {"step": 0.1, "every": 1, "limit": 1.0, "hold_steps": 0}
    for dtype, steps in (("float32", 10), ("float64", 11)):
        callback = RSTPenalty(**options)  # before floatx is set: the dtype of the weights decides
        tf_keras.backend.set_floatx(dtype)
        model = compiled(chosen())
        model.fit(batches(12, dtype=dtype), verbose=0, callbacks=[callback])
        assert int(model.optimizer.iterations) == callback.steps == steps


@pytest.mark.fast_cases("jit")
@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": True}], ids=["eager", "jit"])
def test_other_ways_to_run_give_the_same_weights(options):
    outcomes = []
    for chosen_options in ({}, options):
        model = compiled(chosen(), **chosen_options)
        transform(model, penalty())
        outcomes.append(weights(model))
    for name, value in outcomes[0].items():
        np.testing.assert_allclose(outcomes[1][name], value, rtol=0, atol=1e-5)


def test_mixed_precision_squeezes_the_weights_too():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    model = compiled(chosen(), SGD(0.05, momentum=0.9))
    before = weights(model)["fc1/kernel"]
    transform(model, penalty(60, remove_at_end=False))
    dropped = ~masking.chosen_ticket(model)["fc1/kernel"]
    assert np.abs(weights(model)["fc1/kernel"][dropped]).mean() < 0.3 * np.abs(before[dropped]).mean()
