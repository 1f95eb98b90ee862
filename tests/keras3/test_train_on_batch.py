"""A list of callbacks around `train_on_batch` of Keras 3 is a `fit`: the same end, and as close as its steps are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from dlth_tf import masking
from dlth_tf.callbacks import RandomMask
from tests.keras3.networks import compiled, data, fit, mlp, removed, zeros
from tests.keras3.test_trained_bases import CALLBACKS

X, Y = data()


def looped(model: keras.Model, callbacks: list[Any], epochs: int) -> None:
    several = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=5)
    model.stop_training = False
    several.on_train_begin()
    for epoch in range(epochs):
        several.on_epoch_begin(epoch)
        for step in range(5):
            several.on_train_batch_begin(step)
            model.train_on_batch(X[8 * step : 8 * step + 8], Y[8 * step : 8 * step + 8])
            several.on_train_batch_end(step, {})
            if model.stop_training:
                break
        several.on_epoch_end(epoch, {})
        if model.stop_training:
            break
    several.on_train_end()


@pytest.mark.fast_cases("rst", "imp")
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_loop_ends_as_fit_does(name):
    ends = []
    for train in (looped, fit):
        model = compiled(mlp())
        train(model, CALLBACKS[name](), epochs=4)
        assert set(removed(model).values()) == {0.75} and zeros(model) == removed(model)
        assert masking.installed(model) is None and "make_train_function" not in vars(model)
        ends.append(({key: value.copy() for key, value in masking.weight_arrays(model).items()}, removed(model)))
    assert ends[0][1] == ends[1][1]
    for key, value in ends[0][0].items():
        np.testing.assert_allclose(value, ends[1][0][key], rtol=1e-5, atol=1e-6, err_msg=key)


def test_after_a_loop_whose_list_is_gone_training_is_plain():
    model = compiled(mlp())
    several = keras.callbacks.CallbackList([RandomMask(0.75, remove=True)], model=model, epochs=1, steps=5)
    several.on_train_begin()
    several.on_epoch_begin(0)
    model.train_on_batch(X[:8], Y[:8])
    model.train_on_batch(X[8:16], Y[8:16])
    assert zeros(model) == removed(model) and masking.installed(model) is not None
    del several
    model.train_on_batch(X[:8], Y[:8])
    assert masking.installed(model) is None and zeros(model)["fc1/kernel"] < 0.75  # dead units stay zero
