"""A nested model of Keras 3 that was compiled and trained before: its optimizer takes no part in the new training."""

from __future__ import annotations

import keras
import pytest

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import IMP, DynamicSparsity, GradualMagnitude, RandomMask, RSTPenalty, StraightThrough
from tests.keras3.networks import BACKEND, L, assert_equal, compiled, fit, removed, zeros

CALLBACKS = {
    "rst": lambda: [RandomMask(0.75), RSTPenalty(step=0.25, every=1, hold_steps=10)],
    "imp": lambda: [IMP(0.75, rounds=2, rewind_step=3)],
    "gradual": lambda: [GradualMagnitude(0.75, every=2)],
    "dynamic": lambda: [RandomMask(0.75, remove=True), DynamicSparsity(every=4)],
    "ste": lambda: [StraightThrough(0.75)],
}


def transferred(trained: bool) -> keras.Model:
    """Returns a network whose base has been trained for 30 steps, or is one with the weights of such a base."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,)), L.Dense(16, "relu", name="fc1"), L.Dense(12, "relu", name="fc2")]
    base = keras.Sequential([*layers, L.Dense(3, name="fc3")], name="base")
    fit(compiled(base, keras.optimizers.Adam(0.01)), epochs=6)
    if not trained:
        twin = keras.models.clone_model(base)
        twin.set_weights(base.get_weights())
        base = twin
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dense(3, name="out")(base(inputs)))
    return compiled(model, keras.optimizers.Adam(0.01))


@pytest.mark.fast_cases("gradual")
@pytest.mark.parametrize("name", CALLBACKS)
def test_training_over_a_trained_base_is_that_over_one_with_its_weights(name):
    ends = []
    for trained in (True, False):
        model = transferred(trained)
        fit(model, CALLBACKS[name](), epochs=4)
        assert removed(model).keys() == {"fc1/kernel", "fc2/kernel", "fc3/kernel"}
        assert set(removed(model).values()) == {0.75} and zeros(model) == removed(model)
        ends.append({name: value.copy() for name, value in masking.weight_arrays(model).items()})
    assert_equal(*ends)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a step of the user's own is written for TensorFlow here")
def test_a_trained_base_that_makes_the_steps_itself_is_refused_where_steps_count():
    import tensorflow as tf

    class TrainsItsBase(keras.Model):
        def train_step(self, data):
            x, y = data
            base = self.get_layer("base")
            with tf.GradientTape() as tape:
                loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, self(x), from_logits=True))
            gradients = tape.gradient(loss, base.trainable_variables)
            base.optimizer.apply_gradients(zip(gradients, base.trainable_variables, strict=True))
            return {"loss": loss}

    plain = transferred(True)
    model = compiled(TrainsItsBase(plain.inputs, plain.outputs))
    with pytest.raises(dlth.BadInput, match=r"^optimizer=30 steps old: is that of a nested model, .*"):
        fit(model, CALLBACKS["gradual"]())
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    masking.check_removed(model)
    assert masking.steps_made(model) > 30
