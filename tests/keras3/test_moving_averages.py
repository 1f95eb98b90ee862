"""Moving averages of the weights (`use_ema=True`) are those of the pruned and rewound network."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import IMP, GradualMagnitude, KeepMask
from tests.keras3.networks import BACKEND, compiled, data, fit, mlp, removed


@pytest.mark.parametrize("step", [0, 3])
def test_moving_averages_begin_at_the_weights_that_imp_rewinds(step):
    """An average that began at 0 would be a hundredth of the weights after the few steps of the last round."""
    model = compiled(mlp(), keras.optimizers.SGD(1e-6, use_ema=True, ema_momentum=0.999))
    before = {name: value.copy() for name, value in masking.weight_arrays(model).items()}
    fit(model, [IMP(0.75, rounds=2, rewind_step=step)], epochs=3)
    for name, value in masking.weight_arrays(model).items():
        kept = masking.chosen_ticket(model).get(name, True)
        np.testing.assert_allclose(value, before[name] * kept, rtol=1e-3, atol=1e-5, err_msg=name)


class Lookahead(keras.optimizers.SGD):
    """Holds slow weights, which begin as the weights and follow them."""

    def build(self, variables):
        """Creates the slow weights."""
        if not self.built:
            super().build(variables)
            self.slow = self.add_optimizer_variables(variables, "slow")
            for slow, variable in zip(self.slow, variables, strict=True):
                slow.assign(keras.ops.copy(variable))

    def update_step(self, gradient, variable, learning_rate):
        """Moves the slow weight half of the way to the fast one, and the fast one there."""
        slow = self.slow[self._get_variable_index(variable)]
        fast = variable - keras.ops.cast(learning_rate, variable.dtype) * gradient
        self.assign(slow, (slow + fast) / 2)
        self.assign(variable, slow)


@pytest.mark.fast_cases("ScheduleFreeAdamW-3", "Lookahead-0")
@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("kind", [keras.optimizers.ScheduleFreeAdamW, Lookahead])
def test_slots_that_begin_as_the_weights_begin_at_those_that_imp_rewinds(kind, step, monkeypatch):
    """The first round moves the weights far; with a tiny rate after it, only a stale slot could move them again."""
    model = compiled(mlp(), kind(0.3))
    seen = {}
    restore = masking.FreshOptimizer.restore

    def restored(self, at=0):
        restore(self, at)
        seen.update(masking.weight_arrays(model))
        model.optimizer.learning_rate.assign(1e-9)

    monkeypatch.setattr(masking.FreshOptimizer, "restore", restored)
    fit(model, [IMP(0.75, rounds=1, rewind_step=step)], epochs=2)
    for name, value in masking.weight_arrays(model).items():
        np.testing.assert_allclose(value, seen[name], atol=1e-5, err_msg=name)


def test_slots_of_a_used_optimizer_begin_at_the_rewound_weights_too():
    """A `fit` that resumes knows the first slots from a twin, whose copies are those of the weights at that time."""
    model = compiled(mlp(), keras.optimizers.ScheduleFreeAdamW(0.3))
    before = {name: value.copy() for name, value in masking.weight_arrays(model).items()}
    fit(model, epochs=1)
    fresh = masking.FreshOptimizer(model, used=True)
    for name, weight in masking.named_weights(model).items():
        weight.assign(before[name])
    fresh.restore()
    weights = model.trainable_variables
    slots = dict(zip([weight.path for weight in weights], model.optimizer._momentums, strict=True))
    for weight in weights:
        np.testing.assert_array_equal(slots[weight.path].numpy(), weight.numpy(), err_msg=weight.path)
    assert all(not velocity.numpy().any() for velocity in model.optimizer._velocities)


@pytest.mark.fast_cases("gradual")
@pytest.mark.parametrize("name", ["keep", "gradual"])
def test_weights_swapped_for_their_averages_are_those_of_the_pruned_network(name, tmp_path):
    model = compiled(mlp(), keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    if name == "keep":
        if BACKEND == "jax":
            pytest.skip("Keras 3 on JAX makes no second fit with moving averages: weights and averages share buffers")
        fit(model, epochs=1)  # averages of the whole network
        dlth.apply_ticket(model, dlth.random_ticket(model, 0.75), remove=True)

    class Checks(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            masking.check_removed(self.model)

        def on_epoch_end(self, epoch, logs=None):
            masking.check_removed(self.model)

    ours = KeepMask() if name == "keep" else GradualMagnitude(0.75, begin=2, end=8, every=2)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    saves = keras.callbacks.ModelCheckpoint(str(tmp_path / "net.keras"))
    fit(model, [ours, swap, Checks(), saves], epochs=2, validation_data=data())
    read = dlth.keras3.load_model(tmp_path / "net.keras")
    assert removed(read) == {"fc1/kernel": 0.75, "fc2/kernel": 0.75}
    masking.check_removed(read)
