"""Rewinding: weights, running statistics and the optimizer."""

from __future__ import annotations

from typing import Any

import keras as keras_3
import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.kinds import KINDS
from tests.masking.networks import compiled, mlp, train, weights, wrapped

keras = tf_keras.optimizers


def test_every_weight_and_statistic_goes_back_and_what_the_ticket_removes_is_zero():
    kind = KINDS["conv2d, batch norm, dropout"]
    model = dlth.wrap(kind.model())
    before = weights(model)
    rng = np.random.default_rng(0)
    masking.choose(model, dlth.random_ticket(model, 0.5, dense_layers="out"))
    for variable in masking.named_weights(model).values():
        variable.assign(rng.normal(size=variable.shape))
    assert not any(np.array_equal(value, before[name]) for name, value in weights(model).items())
    masking.rewind(model, before)
    mask = masking.chosen_ticket(model)["c/kernel"]
    for name, value in weights(model).items():
        assert np.array_equal(value, np.where(mask, before[name], 0) if name == "c/kernel" else before[name])
    assert np.array_equal(masking.prunable_weights(model)["c/kernel"].kept(), mask)


def test_weights_that_are_missing_are_an_error():
    model = wrapped()
    with pytest.raises(KeyError, match="out/bias"):
        masking.rewind(model, {name: value for name, value in weights(model).items() if name != "out/bias"})


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: dlth.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.Adam(0.01),
        lambda: keras.RMSprop(0.01, momentum=0.5, centered=True),
        lambda: keras.Adagrad(0.01, initial_accumulator_value=0.25),
        lambda: keras.Nadam(0.01),
    ],
    ids=["sgd", "adam", "rmsprop", "adagrad", "nadam"],
)
def test_the_optimizer_is_as_before_its_first_step(optimizer):
    model = dlth.wrap(mlp())
    model.compile(optimizer(), "mse", run_eagerly=True)
    fresh = masking.FreshOptimizer(model)
    slots = [variable for variable in model.optimizer.variables if variable is not model.optimizer.iterations]
    before = [variable.numpy() for variable in slots]
    compiled_as = model.optimizer.learning_rate.numpy()
    train(model, [], steps=2)
    assert sum(not np.array_equal(variable, value) for variable, value in zip(slots, before, strict=True)) >= 6
    fresh.restore(step=7)
    assert all(np.array_equal(variable, value) for variable, value in zip(slots, before, strict=True))
    assert int(model.optimizer.iterations) == 7 and model.optimizer.learning_rate.numpy() == compiled_as
    fresh.restore()
    assert int(model.optimizer.iterations) == 0


def test_a_learning_rate_that_was_changed_by_hand_stays_and_a_schedule_goes_on_at_the_step():
    model = compiled(wrapped(), dlth.optimizers.SGD(0.1, momentum=0.9))
    fresh = masking.FreshOptimizer(model)
    model.optimizer.learning_rate = 0.025
    fresh.restore(3)
    assert float(model.optimizer.learning_rate) == np.float32(0.025)
    schedule = keras.schedules.PiecewiseConstantDecay([4], [0.5, 0.25])
    fresh = masking.FreshOptimizer(compiled(model, dlth.optimizers.SGD(schedule), run_eagerly=True))
    for step, rate in ((9, 0.25), (2, 0.5)):
        fresh.restore(step)
        train(model, [], steps=1)
        assert float(model.optimizer.learning_rate) == rate


def test_inside_a_loss_scale_it_is_the_inner_optimizer_that_is_emptied():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    model = dlth.wrap(mlp())
    model.compile(keras.Adam(0.01), "mse", run_eagerly=True)
    fresh = masking.FreshOptimizer(model)
    train(model, [], steps=2)
    inner = model.optimizer.inner_optimizer
    assert inner._momentums[0].numpy().any()
    fresh.restore(1)
    assert (
        not any(slot.numpy().any() for slot in (*inner._momentums, *inner._velocities)) and int(inner.iterations) == 1
    )


def with_own_weights(library: Any) -> Any:
    """Returns a subclassed network that holds weights itself, two of one name, as a nested one in it does."""

    class Encoder(library.Model):
        def __init__(self) -> None:
            super().__init__(name="encoder")
            self.dense = library.layers.Dense(6, name="dense")
            self.token = self.add_weight(name="token", shape=(6,), initializer="zeros")

        def call(self, x):
            return self.dense(x) + self.token

    class Network(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.out = Encoder(), library.layers.Dense(3, name="out")
            self.scales = [self.add_weight(name="scale", shape=(3,), initializer="ones") for _ in range(2)]

        def call(self, x):
            return self.out(self.encoder(x)) * self.scales[0] * self.scales[1]

    model = Network()
    model(np.ones((1, 6), "float32"))
    return model


@pytest.mark.parametrize("library", [keras_3, tf_keras], ids=["keras3", "keras2"])
def test_weights_of_the_model_itself_are_named_and_rewound(library):
    model = with_own_weights(library)
    names = list(masking.named_weights(model))
    assert names[:4] == ["dense/kernel", "dense/bias", "out/kernel", "out/bias"]
    assert sorted(names[4:]) == ["encoder/token", "scale", "scale_1"]
    model = dlth.wrap(model)
    assert list(masking.named_weights(model)) == names
    before = masking.weight_arrays(model)
    model.compile(library.optimizers.SGD(0.1), "mse")
    trained: list[Any] = []

    class Notes(library.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            trained.append(masking.weight_arrays(self.model))

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                for name, value in masking.weight_arrays(self.model).items():
                    kept = masking.chosen_ticket(self.model).get(name, True)
                    np.testing.assert_array_equal(value, before[name] * kept, err_msg=name)

    x, y = np.random.default_rng(0).normal(size=(16, 6)), np.ones((16, 3))
    imp = dlth.callbacks.IMP(0.5, rounds=2)
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[imp, Notes()])
    assert all(np.any(trained[-1][name] != before[name]) for name in names)
