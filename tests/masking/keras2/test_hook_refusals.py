"""Models and optimizers that cannot carry the hook."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from tests.masking.networks import (
    compiled,
    mlp,
    same,
    train,
    weights,
    wrapped,
)

keras = tf_keras.optimizers
L = tf_keras.layers
SGD = dlth.optimizers.SGD
KeepMask = dlth.callbacks.KeepMask


def test_a_model_that_is_not_compiled_is_refused():
    for use in (masking.install, masking.inner_optimizer):
        with pytest.raises(BadInput, match=r"model=mlp: is not compiled: call model\.compile"):
            use(wrapped())


def test_a_model_that_is_not_wrapped_is_refused_and_its_optimizer_untouched():
    model = compiled(mlp())
    with pytest.raises(BadInput, match="is not wrapped"):
        masking.install(model)
    assert "update_step" not in vars(model.optimizer)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (
            lambda: keras.legacy.SGD(0.1),
            r"optimizer=.*legacy.*SGD: has no update step .* use dlth_tf.optimizers.SGD or",
        ),
        (lambda: keras.SGD(0.1, use_ema=True), "use_ema=True would write averages over removed weights"),
        (lambda: SGD(0.1, use_ema=True), "use_ema=True would write averages over removed weights"),
    ],
    ids=["legacy", "keras ema", "ema"],
)
def test_an_optimizer_that_cannot_carry_the_hook_is_refused(optimizer, sentence):
    model = compiled(wrapped(), optimizer())
    before = weights(model)
    with pytest.raises(BadInput, match=sentence):
        train(model, [KeepMask()])
    assert same(weights(model), before)
