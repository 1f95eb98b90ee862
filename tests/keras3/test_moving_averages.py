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
