"""KeepMask: finetuning with zeros; tests/masking/keras2/test_hook.py checks the weights after every step."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask
from tests.masking.networks import (
    LOSS,
    batches,
    compiled,
    kept_whole,
    largest_removed,
    mlp,
    same,
    train,
    weights,
    wrapped,
)


def test_kept_weights_get_the_plain_update_of_a_network_whose_zeros_stay():
    """One step by hand: gradients are those of the sparse network, and only removed weights are reset to zero."""
    model = wrapped()
    x, y = next(iter(batches(1)))
    before = weights(model)
    with tf.GradientTape() as tape:
        loss = LOSS(y, model(x))
    gradients = dict(zip(before, tape.gradient(loss, model.trainable_variables), strict=True))
    masks = {name: entry.kept() for name, entry in masking.prunable_weights(model).items()}
    train(compiled(model, dlth.optimizers.SGD(0.5)), [KeepMask()], steps=1)
    for name, value in weights(model).items():
        expected = (before[name] - 0.5 * gradients[name].numpy()) * masks.get(name, 1)
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6)
        assert np.abs(expected - before[name]).max() > 1e-3


def test_masks_and_tickets_stay_as_they_were():
    model = wrapped()
    entries = masking.prunable_weights(model)
    before = {name: (entry.kept(), entry.chosen()) for name, entry in entries.items()}
    train(compiled(model), [KeepMask()], epochs=2)
    assert all(np.array_equal((entry.kept(), entry.chosen()), before[name]) for name, entry in entries.items())


def test_learning_goes_on():
    model = compiled(wrapped())
    history = train(model, [KeepMask()], epochs=20).history["loss"]
    assert history[-1] < history[0] / 2 and largest_removed(model) == 0.0


def test_nothing_removed_is_refused():
    for model in (compiled(dlth.wrap(mlp())), compiled(wrapped(remove=False))):
        with pytest.raises(BadInput, match="model=mlp: has no removed weights to keep: run RSTPenalty first"):
            train(model, [KeepMask()])
        assert kept_whole(model) and masking.installed(model) is None


def test_a_model_that_is_not_wrapped_is_refused():
    with pytest.raises(BadInput, match="model=mlp: is not wrapped"):
        train(compiled(mlp()), [KeepMask()])


class Meddler(tf_keras.callbacks.Callback):
    """Changes removed weights from outside the optimizer."""

    def on_epoch_end(self, epoch, logs=None):
        for entry in masking.prunable_weights(self.model).values():
            entry.weight.assign(tf.ones(entry.shape))


def test_weights_that_something_else_changed_are_an_error():
    model = compiled(wrapped())
    with pytest.raises(
        RuntimeError, match="removed weights of fc1/kernel are not zero: something outside the optimizer"
    ):
        train(model, [KeepMask(), Meddler()])
    assert masking.installed(model) is None


def test_validation_and_prediction_in_between_change_nothing():
    outcomes = []
    for data in (None, batches(3)):
        model = compiled(wrapped())
        model.fit(batches(6), epochs=2, verbose=0, callbacks=[KeepMask()], validation_data=data)
        model.predict(batches(2), verbose=0)
        outcomes.append(weights(model))
    assert same(*outcomes)
