"""A nested model that was compiled and trained before: its old steps are not those of the new training."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import KeepMask, RandomMask
from tests.callbacks.every_callback import CALLBACKS, PER_EPOCH, fit, quick_or_slow, said
from tests.masking.networks import LOSS, batches, compiled, largest_removed, same, weights

L = tf_keras.layers


class Base(tf_keras.Model):
    """Two layers, held by a model that is subclassed, so that `wrap` leaves it and its optimizer in place."""

    def __init__(self) -> None:
        super().__init__(name="base")
        self.first, self.second = L.Dense(12, "relu", name="fc1"), L.Dense(10, "relu", name="fc2")

    def call(self, inputs: Any) -> Any:
        return self.second(self.first(inputs))


class UnderNewHead(tf_keras.Model):
    """A base under a new head."""

    def __init__(self, base: tf_keras.Model) -> None:
        super().__init__(name="transferred")
        self.base, self.head = base, L.Dense(3, name="out")

    def call(self, inputs: Any) -> Any:
        return self.head(self.base(inputs))


def transferred(trained: bool, kind: type[UnderNewHead] = UnderNewHead) -> UnderNewHead:
    """Returns a wrapped network whose base has been trained for 5 steps, or has the weights of one that has been."""
    tf_keras.utils.set_random_seed(0)
    base = Base()
    base.compile(tf_keras.optimizers.Adam(0.01), LOSS, run_eagerly=True)
    base.fit(batches(5), verbose=0)
    if not trained:
        twin = Base()
        twin.build((None, 8))
        twin.set_weights(base.get_weights())
        base = twin
    tf_keras.utils.set_random_seed(0)
    model = kind(base)
    model(next(iter(batches(1)))[0])
    return compiled(dlth.wrap(model), tf_keras.optimizers.Adam(0.01), run_eagerly=True)


@pytest.mark.fast_cases("penalty")
@pytest.mark.slow_cases("keep mask", "gradual", "imp that rewinds to step 3")
@quick_or_slow("penalty", "gradual", "growth by gradient", "imp that rewinds to step 3")
def test_training_over_a_trained_base_is_that_over_one_with_its_weights(name, caplog):
    ends = []
    for trained in (True, False):
        model = transferred(trained)
        fit(model, CALLBACKS[name](model))
        ends.append(({name: entry.kept().mean() for name, entry in masking.prunable_weights(model).items()}, model))
    assert ends[0][0] == ends[1][0] and min(ends[0][0].values()) < 1
    assert same(weights(ends[0][1]), weights(ends[1][1])) and largest_removed(ends[0][1]) == 0.0
    assert masking.steps_made(ends[0][1]) == masking.steps_made(ends[1][1]) and said(caplog) == []


class TrainsItsBase(UnderNewHead):
    """Makes its steps with the optimizer that its base was compiled with."""

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = LOSS(targets, self(inputs, training=True))
        variables = self.base.trainable_variables
        self.base.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


def test_the_optimizer_of_a_nested_model_that_makes_the_steps_counts_when_it_is_fresh(caplog):
    model = transferred(True, TrainsItsBase)
    model.base.compile(tf_keras.optimizers.Adam(0.01))
    fit(model, CALLBACKS["gradual"](model))
    assert masking.steps_made(model) == int(model.base.optimizer.iterations) == 6 * PER_EPOCH
    shares = {name: entry.kept().mean() for name, entry in masking.prunable_weights(model).items()}
    assert shares == pytest.approx({"fc1/kernel": 0.1, "fc2/kernel": 0.1, "out/kernel": 1.0}, abs=0.01)
    assert largest_removed(model) == 0.0 and said(caplog) == []


@pytest.mark.fast_cases("gradual")
@pytest.mark.parametrize("name", ["penalty", "gradual", "growth by gradient", "imp"])
def test_where_steps_count_one_that_is_not_fresh_is_refused_in_its_first_step(name):
    model = transferred(True, TrainsItsBase)
    with pytest.raises(dlth.BadInput, match=r"^optimizer=5 steps old: is that of a nested model, .* compile that"):
        fit(model, CALLBACKS[name](model))


def test_the_steps_of_a_nested_optimizer_are_known_to_the_next_fit():
    model = transferred(True, TrainsItsBase)
    fit(model, [RandomMask(0.5, remove=True)], epochs=1)
    assert masking.steps_made(model) == 5 + PER_EPOCH
    fit(model, [KeepMask()], epochs=1)
    assert masking.steps_made(model) == 5 + 2 * PER_EPOCH and largest_removed(model) == 0.0
    with pytest.raises(dlth.BadInput, match=f"^optimizer={5 + 2 * PER_EPOCH} steps old: RSTPenalty starts from"):
        fit(model, CALLBACKS["penalty"](model))
    model.base.compile(tf_keras.optimizers.Adam(0.01))
    fit(model, CALLBACKS["penalty"](model))
    assert largest_removed(model) == 0.0
