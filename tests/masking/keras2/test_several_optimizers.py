"""Models with optimizers of their own, steps that go around them, and constraints that move removed weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import IMP, DynamicSparsity, GradualMagnitude, KeepMask, RandomMask, RSTPenalty, StraightThrough
from tests.callbacks.every_callback import said
from tests.masking.kinds import functional, normal
from tests.masking.networks import LOSS, batches, compiled, largest_removed, mlp, same, train, watch, weights

L = tf_keras.layers
IMAGES = normal(8, 6)()
slow = pytest.mark.slow


class Gan(tf_keras.Model):
    """Trains a generator and a critic, each with an optimizer of its own; Keras' own makes no step.

    Args:
      hold: Returns the object in which the optimizers are held.
    """

    def __init__(self, hold: Any) -> None:
        super().__init__(name="gan")
        self.generator = functional((2,), L.Dense(8, "relu", name="g1"), L.Dense(6, name="g2"))
        self.critic = functional((6,), L.Dense(8, "relu", name="d1"), L.Dense(1, name="d2"))
        self.hold = hold

    def compile(self, **options: Any) -> None:
        super().compile(**options)
        self.pair = (dlth.optimizers.SGD(0.05, momentum=0.9), tf_keras.optimizers.Adam(0.01))
        self.held = self.hold(*self.pair)
        if self.hold is attributes:
            self.g_optimizer, self.d_optimizer = self.pair

    def call(self, noise: Any) -> Any:
        return self.critic(self.generator(noise))

    def train_step(self, data: Any) -> dict[str, Any]:
        noise = tf.reshape(data[:, :2], (-1, 2))
        for part, sign, optimizer in ((self.generator, -1.0, self.pair[0]), (self.critic, 1.0, self.pair[1])):
            with tf.GradientTape() as tape:
                loss = sign * tf.reduce_mean(self(noise) - self.critic(data)) + tf.reduce_mean(self(noise) ** 2)
            variables = part.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


def attributes(one: Any, other: Any) -> None:
    """Holds nothing; the optimizers are attributes."""


HOLDS = {
    "attributes": attributes,
    "list": lambda *pair: list(pair),
    "dictionary": lambda one, other: {"g": one, "d": {"nested": other}},
}


def gan(hold: str = "attributes", **options: Any) -> Gan:
    tf_keras.utils.set_random_seed(0)
    model = Gan(HOLDS[hold])
    model(IMAGES[:, :2])
    model = dlth.wrap(model)
    model.compile(**options)
    return model


def kept(model: tf_keras.Model) -> dict[str, float]:
    return {name: float(entry.kept().mean()) for name, entry in masking.prunable_weights(model).items()}


@pytest.mark.parametrize("hold", HOLDS)
def test_removed_weights_stay_zero_whatever_holds_the_optimizers(hold, caplog):
    model = gan(hold, run_eagerly=True)
    before = weights(model)
    model.fit(IMAGES, batch_size=2, verbose=0, callbacks=[RandomMask(0.5, remove=True, dense_layers="none")])
    assert kept(model) == pytest.approx({"g1/kernel": 0.5, "g2/kernel": 0.5, "d1/kernel": 0.5, "d2/kernel": 0.5})
    assert largest_removed(model) == 0.0 and not same(weights(model), before) and not said(caplog)
    assert not any("update_step" in vars(optimizer) for optimizer in (*model.pair, model.optimizer))


def test_removed_weights_are_zero_after_every_step_in_a_graph():
    model = gan()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    seen = watch(model)
    model.fit(IMAGES, batch_size=2, verbose=0, callbacks=[KeepMask()])
    assert int(seen.steps) == 4 and float(seen.largest) == 0.0


def test_a_transformation_counts_the_steps_that_are_made():
    model = gan(run_eagerly=True)
    transform = RSTPenalty(step=0.25, every=1, limit=0.5, hold_steps=5)
    callbacks = [RandomMask(0.5, dense_layers="none"), transform]
    model.fit(IMAGES, batch_size=2, epochs=transform.epochs(4), verbose=0, callbacks=callbacks)
    assert [int(optimizer.iterations) for optimizer in model.pair] == [transform.steps] * 2
    assert int(model.optimizer.iterations) == 0 and largest_removed(model) == 0.0


def test_the_penalty_squeezes_with_both_optimizers():
    model = gan(run_eagerly=True)
    transform = RSTPenalty(step=0.5, every=1, limit=2.0, hold_steps=8, remove_at_end=False)
    callbacks = [RandomMask(0.5, dense_layers="none"), transform]
    before = weights(model)
    model.fit(IMAGES, batch_size=2, epochs=transform.epochs(4), verbose=0, callbacks=callbacks)
    for name, entry in masking.prunable_weights(model).items():
        left = np.abs(entry.weight.numpy())[~entry.chosen()].mean() / np.abs(before[name])[~entry.chosen()].mean()
        assert left < 0.9, name


@pytest.mark.fast_cases("imp")
@pytest.mark.parametrize(
    "callbacks",
    [
        lambda: [GradualMagnitude(0.8, every=2, dense_layers="none")],
        lambda: [IMP(0.8, rounds=2, epochs_per_round=1, dense_layers="none")],
        pytest.param(lambda: [StraightThrough(0.8, dense_layers="none")], marks=slow),
        pytest.param(lambda: [RandomMask(0.8, remove=True, dense_layers="none"), DynamicSparsity(every=3)], marks=slow),
    ],
    ids=["gradual", "imp", "straight through", "dynamic"],
)
def test_schedules_reach_their_sparsity_with_two_optimizers(callbacks, caplog):
    model = gan(run_eagerly=True)
    model.fit(IMAGES, batch_size=2, epochs=4, verbose=0, callbacks=callbacks())
    assert kept(model) == pytest.approx(dict.fromkeys(kept(model), 0.2), abs=0.08)
    assert largest_removed(model) == 0.0 and said(caplog) == []


def test_the_generator_alone_can_be_pruned():
    tf_keras.utils.set_random_seed(0)
    model = Gan(attributes)
    model(IMAGES[:, :2])
    model = dlth.wrap(model, only="g*")
    model.compile(run_eagerly=True)
    model.fit(IMAGES, batch_size=2, verbose=0, callbacks=[RandomMask(0.5, remove=True, dense_layers="none")])
    assert list(kept(model)) == ["g1/kernel", "g2/kernel"] and largest_removed(model) == 0.0


class Bypassing(tf_keras.Model):
    """Updates its weights itself."""

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = LOSS(targets, self(inputs, training=True))
        for variable, gradient in zip(
            self.trainable_variables, tape.gradient(loss, self.trainable_variables), strict=True
        ):
            variable.assign_sub(0.1 * gradient)
        return {"loss": loss}


def bypassing(**options: Any) -> tf_keras.Model:
    plain = mlp()
    return compiled(dlth.wrap(Bypassing(plain.inputs, plain.outputs)), **options)


def test_a_transformation_that_no_optimizer_makes_ends_at_its_first_step():
    model = bypassing()
    transform = RSTPenalty(step=0.25, every=1, limit=0.5, hold_steps=3)
    sentence = (
        "no optimizer of the model has updated fc1/kernel, fc2/kernel in the first step, so it cannot be squeezed"
    )
    with pytest.raises(RuntimeError, match=sentence):
        train(model, [RandomMask(0.5), transform], epochs=2)
    assert kept(model) == dict.fromkeys(kept(model), 1.0)


@pytest.mark.parametrize("callback", ["random mask", "keep mask"])
def test_a_mask_that_no_optimizer_applies_is_told_at_once_and_is_an_error_at_the_end(callback, caplog):
    model = bypassing()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    with pytest.raises(RuntimeError, match="removed weights of fc1/kernel are not zero: something outside"):
        train(model, [KeepMask() if callback == "keep mask" else RandomMask(0.5, remove=True)])
    (sentence,) = said(caplog)
    assert "has updated fc1/kernel, fc2/kernel in the first step, so it cannot be kept removed" in sentence
    assert masking.installed(model) is None and "make_train_function" not in vars(model)


class Resurrecting(tf_keras.Model):
    """Makes an ordinary step, and then adds noise to its weights."""

    def train_step(self, data: Any) -> dict[str, Any]:
        logs = super().train_step(data)
        for variable in self.trainable_variables:
            variable.assign_add(tf.fill(variable.shape, 1e-4))
        return logs


@pytest.mark.parametrize(
    "callbacks",
    [lambda: [RandomMask(0.5, remove=True)], lambda: [GradualMagnitude(0.5, every=1)], lambda: [StraightThrough(0.5)]],
    ids=["random mask", "gradual", "straight through"],
)
def test_a_step_that_changes_removed_weights_is_an_error_at_the_end(callbacks):
    plain = mlp()
    model = compiled(dlth.wrap(Resurrecting(plain.inputs, plain.outputs)), run_eagerly=True)
    with pytest.raises(RuntimeError, match="removed weights of fc1/kernel are not zero"):
        train(model, callbacks())
    assert masking.installed(model) is None


def test_a_layer_that_the_loss_does_not_reach_cannot_be_squeezed():
    inputs = L.Input((8,))
    hidden = L.Dense(6, "relu", name="hidden")(inputs)
    model = tf_keras.Model(inputs, [L.Dense(3, name="used")(hidden), L.Dense(3, name="unused")(hidden)])
    model = dlth.wrap(model)
    model.compile(dlth.optimizers.SGD(0.1), {"used": LOSS})
    transform = RSTPenalty(step=0.25, every=1, limit=0.5, hold_steps=3)
    with pytest.raises(RuntimeError, match="has updated unused/kernel in the first step"):
        train(model, [RandomMask(0.5, dense_layers="none"), transform], epochs=2)


class Centered(tf_keras.constraints.Constraint):
    """Subtracts the mean, and so moves weights that are zero."""

    def __call__(self, weight: Any) -> Any:
        return weight - tf.reduce_mean(weight)


def constrained(constraint: Any, **options: Any) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    layers = [L.Input((8,)), L.Dense(6, "relu", kernel_constraint=constraint, name="fc1"), L.Dense(3, name="out")]
    return compiled(dlth.wrap(tf_keras.Sequential(layers)), **options)


CONSTRAINTS = {
    "centered": Centered(),
    "unit norm": tf_keras.constraints.UnitNorm(),
    "at least .1": lambda weight: tf.maximum(weight, 0.1),
}


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_constraints_that_move_removed_weights_do_not_bring_them_back(constraint):
    model = constrained(constraint, run_eagerly=True)
    train(model, [RandomMask(0.5, remove=True)])
    assert largest_removed(model) == 0.0
    kernel = weights(model)["fc1/kernel"]
    assert (kernel == 0).mean() == 0.5
    train(compiled(model, run_eagerly=True), [GradualMagnitude(0.75, begin=1, end=3, every=1)])
    assert largest_removed(model) == 0.0 and (weights(model)["fc1/kernel"] == 0).mean() == 0.75


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, *(pytest.param(options, marks=slow) for options in ({}, {"steps_per_execution": 3}))],
)
def test_nor_do_they_in_a_graph(options):
    model = constrained(Centered(), **options)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    seen = watch(model)
    train(model, [KeepMask()])
    assert float(seen.largest) == 0.0 and int(seen.steps) == 6
    assert "apply_gradients" not in vars(model.optimizer)


def test_constraints_act_while_weights_are_only_squeezed():
    model = constrained(tf_keras.constraints.MaxNorm(0.5), run_eagerly=True)
    transform = RSTPenalty(step=0.25, every=1, limit=0.5, hold_steps=3, remove_at_end=False)
    train(model, [RandomMask(0.5), transform], epochs=transform.epochs(6))
    assert np.linalg.norm(weights(model)["fc1/kernel"], axis=0).max() <= 0.5 + 1e-6


def test_the_optimizer_that_is_compiled_between_two_fits_is_the_one_that_is_used():
    model = compiled(dlth.wrap(mlp()))
    train(model, [RandomMask(0.5, remove=True)], steps=2)
    first = model.optimizer
    compiled(model, tf_keras.optimizers.Adam(0.01))
    train(model, [KeepMask()], steps=2)
    assert largest_removed(model) == 0.0 and model.optimizer is not first
    assert int(first.iterations) == int(model.optimizer.iterations) == 2 and len(list(batches(2))) == 2
