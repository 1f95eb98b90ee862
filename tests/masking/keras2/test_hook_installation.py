"""The hook enters and leaves the optimizer, and acts on pruned tensors alone."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.core import PenaltySchedule
from tests.masking.networks import (
    compiled,
    jit_by_hand,
    mlp,
    same,
    train,
    watch,
    weights,
    wrapped,
)

keras = tf_keras.optimizers
L = tf_keras.layers
SGD = dlth.optimizers.SGD
KeepMask = dlth.callbacks.KeepMask


def test_the_hook_leaves_no_trace():
    model = compiled(wrapped())
    bare = dict(vars(model.optimizer))
    hook = masking.install(model)
    assert masking.installed(model) is hook and model.optimizer.update_step.__self__ is hook
    masking.uninstall(model)
    assert masking.installed(model) is None and vars(model.optimizer).keys() == bare.keys()
    masking.uninstall(model)


def test_installing_twice_leaves_one_hook():
    model = compiled(wrapped())
    masking.install(model)
    masking.install(model)
    masking.uninstall(model)
    assert masking.installed(model) is None and "update_step" not in vars(model.optimizer)


@pytest.mark.parametrize("jit", [True, False])
def test_the_optimizers_own_jit_is_off_with_the_hook_and_restored_after_it(jit):
    optimizer = SGD(0.1, momentum=0.9)
    optimizer.jit_compile = jit
    model = compiled(wrapped(), optimizer)
    during = []
    look = tf_keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: during.append(optimizer.jit_compile)
    )
    train(model, [KeepMask(), look])
    assert set(during) == {False} and optimizer.jit_compile is jit


@pytest.mark.fast_cases("graph")
@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), jit_by_hand()], ids=["graph", "jit by hand"])
def test_the_hook_enters_and_leaves_an_optimizer_that_has_trained_already(optimizer):
    model = compiled(wrapped(), optimizer)
    seen = watch(model)
    train(model, [])
    assert float(seen.largest) > 0
    masking.remove(model)
    seen.largest.assign(0.0)
    train(model, [KeepMask()])
    assert float(seen.largest) == 0.0
    train(model, [])
    assert float(seen.largest) > 0


def test_the_hook_does_not_change_what_is_kept():
    """Adding the hook to a network from which nothing is removed changes no bit of the training."""
    outcomes = []
    for hooked in (True, False):
        model = compiled(dlth.wrap(mlp()))
        if hooked:
            masking.install(model)
        train(model, [])
        outcomes.append(weights(model))
    assert same(*outcomes)


def test_the_penalty_follows_the_optimizers_steps_and_holds_its_last_value():
    model = compiled(wrapped(remove=False))
    stairs = PenaltySchedule(step=0.25, every=2, limit=0.5, hold_steps=3)
    hook = masking.install(model, stairs)
    assert [float(hook.strength(tf.float32, step)) for step in range(10)] == [0.25, 0.25, 0.5, 0.5] + [0.75] * 6
    assert float(hook.strength(tf.float64)) == 0.25
    train(model, [])
    assert float(hook.strength(tf.float32)) == 0.75


def test_the_hook_acts_on_pruned_tensors_alone():
    model = compiled(wrapped(remove=False))
    hook = masking.install(model, PenaltySchedule(step=0.25, every=2, limit=0.5, hold_steps=3))
    acted = {key: (target.squeeze is not None, target.mask is not None) for key, target in hook.targets.items()}
    entries = masking.prunable_weights(model)
    by_name = {name: acted[model.optimizer._var_key(entry.weight)] for name, entry in entries.items()}
    assert by_name == {"fc1/kernel": (True, False), "fc2/kernel": (True, False), "out/kernel": (False, False)}
