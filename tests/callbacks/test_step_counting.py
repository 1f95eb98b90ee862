"""Optimizer steps are counted as they are made, whatever a training step does and wherever the data end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import RandomMask, RSTPenalty
from dlth_tf.callbacks.step_counting import StepCounting

BATCHES = 5


def own_step(library: Any, steps: int) -> Any:
    """Returns a network, not compiled, that makes several optimizer steps for each batch."""

    class Model(library.Sequential):
        def train_step(self, data):
            x, y = data
            for _ in range(steps):
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    dense = library.layers.Dense
    return dlth.wrap(Model([library.Input((6,)), dense(10, name="a"), dense(3, name="b")]))


def of_unknown_length() -> tf.data.Dataset:
    batches = tf.data.Dataset.from_tensor_slices((np.ones((BATCHES, 4, 6), "float32"), np.ones((BATCHES, 4, 3))))
    return batches.filter(lambda *_: True)


class Notes(StepCounting):
    """Counts, and notes the count when each epoch begins and `fit` ends."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.counts.append(self.iterations())

    def on_train_end(self, logs: Any = None) -> None:
        self.counts.append(self.iterations())


CASES = [(keras, 1), (keras, 2), (keras, 3), (keras, 7), (tf_keras, 1)]  # Keras 2 refuses executions of several steps


@pytest.mark.fast_cases("3-1-2-graph", "2-1-2-eager", "3-3-2-jit")
@pytest.mark.slow_cases("3-1-2-*", "2-1-2-*", "3-2-1-*", "3-7-2-jit")
@pytest.mark.parametrize("how", ["graph", "jit", "eager"])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(("library", "execution"), CASES, ids=["3-1", "3-2", "3-3", "3-7", "2-1"])
def test_the_end_of_data_of_unknown_length_counts_no_step(library, execution, steps, how):
    model = own_step(library, steps)
    options = {"jit_compile": how == "jit", "run_eagerly": how == "eager", "steps_per_execution": execution}
    model.compile(library.optimizers.SGD(0.01), "mse", **options)
    notes = Notes()
    model.fit(of_unknown_length(), epochs=3, verbose=0, callbacks=[RandomMask(0.5, remove=True), notes])
    assert notes.counts == [BATCHES * steps * epoch for epoch in range(4)]


def accumulating(batches: int, jit: bool) -> Any:
    """Returns a network of Keras 3 that takes a step for several batches."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,)), keras.layers.Dense(10, name="a"), keras.layers.Dense(3, name="b")]
    model = dlth.wrap(keras.Sequential(layers))
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=batches)
    model.compile(optimizer, lambda ones, predicted: keras.ops.mean(ones * predicted, -1), jit_compile=jit)
    return model


def steps_of(model: Any) -> float:
    """Returns the whole steps of that network, by its last bias, whose derivative is always 1/3."""
    return float(model.get_layer("b").bias.numpy()[0] / (-0.01 / 3))


@pytest.mark.fast_cases("3")
@pytest.mark.parametrize("batches", [2, 3, 7])
def test_gradients_collected_at_the_end_of_data_of_unknown_length_count_for_the_next_epoch(batches):
    weights = []
    for data in (of_unknown_length(), of_unknown_length().apply(tf.data.experimental.assert_cardinality(BATCHES))):
        model = accumulating(batches, jit=True)
        notes = Notes()
        model.fit(data, epochs=6, verbose=0, callbacks=[RandomMask(0.5, remove=True), notes])
        assert notes.counts == [BATCHES * epoch // batches for epoch in range(7)]
        weights.append(masking.weight_arrays(model))
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name])


@pytest.mark.fast_cases("2", "3")
@pytest.mark.parametrize("batches", [2, 3, 4, 6, 7])
def test_a_step_of_collected_gradients_is_a_whole_one_where_the_end_of_data_counts_a_batch(batches):
    model = accumulating(batches, jit=False)
    model.fit(of_unknown_length(), epochs=6, verbose=0, callbacks=[RandomMask(0.5, remove=True), Notes()])
    assert masking.steps_made(model) == pytest.approx(steps_of(model), abs=1e-3)


def test_a_transformation_that_collects_gradients_ends_in_data_of_unknown_length():
    model = accumulating(3, jit=True)
    rst = RSTPenalty(step=0.2, every=1, hold_steps=3)
    epochs = rst.epochs(BATCHES) * 3
    model.fit(of_unknown_length(), epochs=epochs, verbose=0, callbacks=[RandomMask(0.5), rst])
    assert masking.steps_made(model) == rst.steps
    assert masking.chosen_ticket(model).sparsity == 0.5
    masking.check_removed(model)


@pytest.mark.fast_cases("2-keras2", "6-keras3")
@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras3", "keras2"])
@pytest.mark.parametrize("hold", [2, 6])
def test_a_transformation_ends_where_each_batch_makes_two_steps(hold, library):
    model = own_step(library, 2)
    model.compile(library.optimizers.SGD(0.01), "mse")
    rst = RSTPenalty(step=0.1, every=1, hold_steps=hold)
    model.fit(of_unknown_length(), epochs=9, verbose=0, callbacks=[RandomMask(0.5), rst])
    assert masking.steps_made(model) == rst.steps and rst.steps % (2 * BATCHES)
    assert masking.chosen_ticket(model).sparsity == 0.5
    masking.check_removed(model)
