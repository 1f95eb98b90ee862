"""The hook in the optimizer's step: removed weights are zero after every step of every optimizer, and in every file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.core import PenaltySchedule
from tests.masking.networks import (
    KINDS,
    LOSS,
    Kind,
    batches,
    compiled,
    fit_kind,
    functional,
    largest_removed,
    mlp,
    normal,
    same,
    tokens,
    train,
    watch,
    weights,
    wrapped,
)

keras = tf_keras.optimizers
L = tf_keras.layers
SGD = dlth.optimizers.SGD
KeepMask = dlth.callbacks.KeepMask


def jit_by_hand() -> tf_keras.optimizers.Optimizer:
    optimizer = SGD(0.1, momentum=0.9)
    optimizer.jit_compile = True
    return optimizer


@dataclass(frozen=True)
class Setting:
    """A way to train."""

    optimizer: Callable[[], Any] = lambda: SGD(0.1, momentum=0.9)
    options: dict[str, Any] = field(default_factory=dict)
    policy: str = "float32"
    steps: int = 7


SETTINGS = {
    "published plain": Setting(lambda: SGD(0.1)),
    "published momentum": Setting(),
    "published nesterov": Setting(lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)),
    "keras sgd": Setting(lambda: keras.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)),
    "adam": Setting(lambda: keras.Adam(0.01)),
    "adamw": Setting(lambda: keras.AdamW(0.01, weight_decay=0.1)),
    "rmsprop": Setting(lambda: keras.RMSprop(0.01, momentum=0.9)),
    "clipnorm": Setting(lambda: SGD(0.1, momentum=0.9, clipnorm=0.1)),
    "clipvalue, schedule": Setting(
        lambda: SGD(keras.schedules.PiecewiseConstantDecay([3], [0.1, 0.01]), clipvalue=0.01)
    ),
    "eager": Setting(options={"run_eagerly": True}),
    "3 steps per execution": Setting(options={"steps_per_execution": 3}),
    "20 steps per execution": Setting(options={"steps_per_execution": 20}, steps=47),
    "jit": Setting(options={"jit_compile": True}),
    "jit by hand": Setting(jit_by_hand),
    "bfloat16": Setting(policy="mixed_bfloat16"),
    "float16": Setting(lambda: keras.Adam(0.01), {"steps_per_execution": 3}, "mixed_float16"),
    "float64": Setting(policy="float64"),
}


@pytest.mark.parametrize("name", SETTINGS, ids=str)
def test_removed_weights_are_zero_after_every_step(name):
    setting = SETTINGS[name]
    tf_keras.mixed_precision.set_global_policy(setting.policy)
    model = wrapped()
    before, seen = weights(model), watch(model)
    model.compile(setting.optimizer(), LOSS, **setting.options)
    model.fit(batches(setting.steps), verbose=0, callbacks=[KeepMask()])
    assert int(seen.steps) == setting.steps and int(model.optimizer.iterations) == setting.steps
    assert float(seen.largest) == 0.0
    after, plain = weights(model), weights(dlth.strip(model))
    for tensor, entry in masking.prunable_weights(model).items():
        assert (after[tensor] != before[tensor])[entry.kept()].mean() > 0.5, "the kept weights were trained"
        assert np.count_nonzero(plain[tensor][~entry.kept()]) == 0
    model.run_eagerly = True  # which is quicker for one step
    model.fit(batches(1), verbose=0)
    assert float(seen.largest) > 0, "the twin: without KeepMask they come back"


LSTM = Kind(
    lambda: functional((3,), L.Embedding(12, 4, mask_zero=True, name="embed"), L.LSTM(3, name="lstm")),
    tokens,
    ("embed/embeddings", "lstm/kernel", "lstm/recurrent_kernel"),
)
TRAINED = {**KINDS, "lstm, not unrolled": LSTM}


@pytest.mark.parametrize("name", TRAINED, ids=str)
def test_removed_weights_are_zero_after_every_step_in_every_kind_of_network(name):
    kind = TRAINED[name]
    model = dlth.wrap(kind.model())
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    before, seen = weights(model), watch(model)
    fit_kind(kind, model, [KeepMask()], steps=3, run_eagerly=name in KINDS)
    assert int(seen.steps) == 3 and float(seen.largest) == 0.0
    after = weights(model)
    assert all((after[tensor] != before[tensor]).any() for tensor in kind.prunable)
    fit_kind(kind, model, [], steps=1, run_eagerly=True)
    assert float(seen.largest) > 0, "the twin: without KeepMask they come back"


def test_sparse_gradients_of_an_embedding_are_masked_and_penalised():
    kind = KINDS["embedding, lstm"]
    model = dlth.wrap(kind.model())
    table = masking.prunable_weights(model)["embed/embeddings"].weight
    ticket = dlth.random_ticket(model, 0.5, dense_layers="none")
    dlth.apply_ticket(model, ticket)
    before, dropped = table.numpy(), ~ticket["embed/embeddings"]
    untouched = np.setdiff1d(np.arange(12), kind.inputs())
    assert len(untouched), "some word never occurs, so that its gradient is the penalty alone"
    penalty = dlth.callbacks.RSTPenalty(step=0.5, every=1, limit=0.5, hold_steps=0, remove_at_end=False)
    fit_kind(kind, model, [penalty], keras.SGD(0.125), steps=penalty.steps)
    expected = np.where(dropped, before * np.float32(1 - 0.125 * 0.5) * np.float32(1 - 0.125 * 1.0), before)
    np.testing.assert_allclose(table.numpy()[untouched], expected[untouched], rtol=1e-6)
    assert (table.numpy()[untouched] == before[untouched]).any()


# files in the middle of training -----------------------------------------------------------------------------------


class EveryEpoch(tf_keras.callbacks.Callback):
    """A checkpoint, weights and a whole model at the end of every epoch, while the hook is in place."""

    def __init__(self, folder) -> None:
        super().__init__()
        self.folder, self.paths = folder, []

    def on_epoch_end(self, epoch, logs=None):
        self.paths.append(
            tf.train.Checkpoint(model=self.model, optimizer=self.model.optimizer).write(
                str(self.folder / f"ckpt{epoch}")
            )
        )


def removed_on_disk(folder, paths: list[str]) -> list[float]:
    """The largest removed weight in every file that was written."""
    found = []
    for path in paths:
        model = dlth.wrap(mlp(seed=1))
        tf.train.Checkpoint(model=model).read(path).expect_partial()
        found.append(model)
    for epoch in (1, 2, 3):
        model = dlth.wrap(mlp(seed=1))
        model.load_weights(folder / f"{epoch}.weights.h5")
        found += [model, tf_keras.models.load_model(folder / f"{epoch}.keras")]
    assert all(int((~masking.prunable_weights(model)["fc1/kernel"].kept()).sum()) == 48 for model in found)
    return [largest_removed(model) for model in found]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "twin"])
def test_removed_weights_are_zero_in_every_file_written_in_the_middle_of_fit(keep, tmp_path):
    model, every = compiled(wrapped()), EveryEpoch(tmp_path)
    checkpoints = [
        tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")),
        tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
    ]
    train(model, [*([KeepMask()] if keep else []), every, *checkpoints], epochs=3)
    found = removed_on_disk(tmp_path, every.paths)
    assert len(found) == 9
    assert set(found) == {0.0} if keep else min(found) > 0


def test_a_checkpoint_of_a_fit_with_the_hook_is_an_ordinary_one(tmp_path):
    every = EveryEpoch(tmp_path)
    train(compiled(wrapped()), [KeepMask(), every])
    without = tf.train.Checkpoint(model=(model := compiled(wrapped())), optimizer=model.optimizer)
    train(model, [])
    names = [
        {name for name, _ in tf.train.list_variables(path)}
        for path in (every.paths[0], without.write(str(tmp_path / "without")))
    ]
    assert names[0] == names[1]


# precision ---------------------------------------------------------------------------------------------------------


def rounded(model: tf_keras.Model, dtype: Any) -> float:
    """The share of non-zero kernel values that `dtype` holds exactly."""
    values = np.concatenate([v.numpy().ravel() for v in model.trainable_variables if "kernel" in v.name])
    values = values[values != 0]
    assert values.dtype == np.float32 and len(values) > 100
    return float((values.astype(dtype).astype(np.float32) == values).mean())


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [("mixed_bfloat16", ml_dtypes.bfloat16), ("mixed_float16", np.float16)],
    ids=["bfloat16", "float16"],
)
def test_mixed_precision_does_not_round_the_weights(policy, dtype):
    tf_keras.mixed_precision.set_global_policy(policy)
    model = compiled(wrapped(), run_eagerly=True)
    train(model, [KeepMask()])
    model(normal(4, 8)())
    assert rounded(model, dtype) < 0.05
    stock = tfmot.sparsity.keras.prune_low_magnitude(mlp(), tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1))
    compiled(stock, run_eagerly=True)
    train(stock, [tfmot.sparsity.keras.UpdatePruningStep()])
    stock(normal(4, 8)())
    assert rounded(stock, dtype) == 1.0, "the twin: tf-mot's own wrapper rounds them at every forward pass"


def test_steps_that_a_loss_scale_skips_leave_zeros_and_are_counted():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    model = wrapped()
    seen = watch(model)
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(SGD(0.1, momentum=0.9), initial_scale=2.0**40)
    train(compiled(model, optimizer), [KeepMask()], steps=40)
    assert 0 < float(optimizer.loss_scale) < 2.0**40, "some steps overflowed, so that they were skipped"
    assert int(optimizer.iterations) == int(seen.steps) == 40
    assert float(seen.largest) == 0.0


# in and out of the optimizer ---------------------------------------------------------------------------------------


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
    """Adding the hook to a network of which nothing is removed changes no bit of the training."""
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
    optimizer, entries = model.optimizer, masking.prunable_weights(model)
    found = {name: acted[optimizer._var_key(entry.weight)] for name, entry in entries.items()}
    assert found == {"fc1/kernel": (True, False), "fc2/kernel": (True, False), "out/kernel": (False, False)}


# what is refused ---------------------------------------------------------------------------------------------------


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
