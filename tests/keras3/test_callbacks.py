"""Every callback in `fit` of Keras 3: what it promises holds on the backend of the process."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import (
    IMP,
    DynamicSparsity,
    EarlyBird,
    GradualMagnitude,
    KeepMask,
    RandomMask,
    RSTPenalty,
    SparsityMonitor,
    StraightThrough,
)
from tests.keras3.networks import (
    BACKEND,
    LOSS,
    L,
    assert_equal,
    compiled,
    data,
    fit,
    mlp,
    removed,
    state,
    transform,
    zeros,
)

SPARSE = {"fc1/kernel": 0.75, "fc2/kernel": 0.75}
CALLBACKS = {
    "scratch": lambda: [RandomMask(0.75, seed=3, remove=True)],
    "rst": transform,
    "gmp": lambda: [GradualMagnitude(0.75, every=2)],
    "rigl": lambda: [RandomMask(0.75, seed=3, remove=True), DynamicSparsity(every=3)],
    "set": lambda: [RandomMask(0.75, seed=3, remove=True), DynamicSparsity("random", every=3)],
    "ste": lambda: [StraightThrough(0.75)],
    "imp": lambda: [IMP(0.75, rounds=2)],
    "early_bird": lambda: [EarlyBird(0.75)],
}


@pytest.mark.fast_cases("rst", "imp")
@pytest.mark.parametrize("name", CALLBACKS)
def test_every_callback_reaches_its_sparsity_and_zeros_hold(name):
    model = compiled(mlp())
    fit(model, CALLBACKS[name](), epochs=4 if name == "imp" else 3)
    assert removed(model) == SPARSE
    assert all(share >= 0.75 for share in zeros(model).values())  # one that has just grown may be zero still
    assert dlth.strip(model) is model
    compiled(model)
    fit(model, [KeepMask()], epochs=1)
    assert removed(model) == SPARSE
    masking.check_removed(model)
    assert masking.installed(model) is None


def test_the_ticket_is_that_of_the_same_network_in_keras_2():
    import tf_keras

    same = tf_keras.Sequential([tf_keras.Input((6,))])
    for name, units in (("fc1", 16), ("fc2", 12), ("out", 3)):
        same.add(tf_keras.layers.Dense(units, name=name))
    for options in ({}, {"granularity": "filter"}, {"allocation": "erk", "dense_layers": "none"}):
        ours = dlth.random_ticket(mlp(), 0.75, 7, **options)
        assert ours == dlth.random_ticket(dlth.wrap(same), 0.75, 7, **options)


def test_the_penalty_is_reported_and_ends_after_its_exact_number_of_steps():
    model = compiled(mlp())
    history = fit(model, transform()).history
    np.testing.assert_allclose(history["penalty"], [0.5, 1.0, 1.0], rtol=1e-6)
    assert masking.steps_made(model) == 15
    assert [variable for variable in model.optimizer.variables if "dlth" in variable.path] == []


SLOW = pytest.mark.slow


@pytest.mark.fast_cases("gmp")
@pytest.mark.parametrize("name", ["rst", "gmp", *(pytest.param(name, marks=SLOW) for name in ("rigl", "ste", "imp"))])
def test_an_interrupted_fit_leaves_nothing_in_the_next(name):
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model = compiled(mlp())
    with pytest.raises(KeyboardInterrupt):
        fit(model, [*CALLBACKS[name](), Interrupts()], epochs=4)
    later = state(model)
    fresh = compiled(keras.models.clone_model(model))
    fresh.set_weights(model.get_weights())
    for mine, other in zip(fresh.optimizer.variables, model.optimizer.variables, strict=False):
        mine.assign(other)
    compiled(model), compiled(fresh)
    fit(model, epochs=1), fit(fresh, epochs=1)
    assert masking.installed(model) is None
    for first, second in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert later.keys() >= {"fc1/kernel"}


class Killed(Exception):
    pass


class KillsIn(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Killed


@pytest.mark.fast_cases("rst-ours")
@pytest.mark.slow_cases("rst-backup", "imp-ours", "ste-backup")
@pytest.mark.parametrize("first", ["backup", "ours"])
@pytest.mark.parametrize("name", ["rst", *(pytest.param(name, marks=SLOW) for name in ("gmp", "imp", "ste"))])
def test_a_fit_restored_by_backup_and_restore_ends_bit_identically(name, first, tmp_path):
    epochs = 4 if name == "imp" else 3
    whole = compiled(mlp())
    fit(whole, CALLBACKS[name](), epochs=epochs)

    def callbacks(*more):
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
        both = [backup, *CALLBACKS[name]()] if first == "backup" else [*CALLBACKS[name](), backup]
        return [*both, *more]

    with pytest.raises(Killed):
        fit(compiled(mlp()), callbacks(KillsIn(2)), epochs=epochs)
    again = compiled(mlp(seed=1))
    fit(again, callbacks(), epochs=epochs)
    assert_equal(state(again), state(whole))


def test_training_that_ends_early_says_what_was_asked_for_and_reached(caplog):
    class Stops(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    model = compiled(mlp())
    with caplog.at_level(logging.WARNING, "dlth_tf"):
        fit(model, [GradualMagnitude(0.75, begin=2, end=8, every=2), Stops()])
    assert "GradualMagnitude: asked for a sparsity of 0.75, reached 0." in caplog.text
    model = compiled(mlp())
    with pytest.raises(RuntimeError, match="ended after 5 of 15 steps: nothing was removed"):
        fit(model, [*transform(), Stops()])
    assert removed(model) == {}


def test_weights_restored_by_early_stopping_keep_their_own_sparsity_and_that_is_said(caplog):
    model = compiled(mlp(), keras.optimizers.SGD(0.5))
    stopping = keras.callbacks.EarlyStopping("accuracy", mode="min", restore_best_weights=True, patience=9)
    model.compile(keras.optimizers.SGD(0.5), LOSS, metrics=["accuracy"])
    with caplog.at_level(logging.WARNING, "dlth_tf"):
        fit(model, [GradualMagnitude(0.75, begin=2, end=12, every=2), stopping], epochs=4)
    if stopping.best_epoch < 2:
        assert "asked for a sparsity of 0.75, reached" in caplog.text
    for entry in masking.prunable_weights(model).values():
        assert not entry.weight.numpy()[~entry.kept()].any()


def test_frozen_layers_are_left_out_of_tickets_and_refused_by_the_penalty():
    model = mlp()
    model.get_layer("fc1").trainable = False
    compiled(model)
    assert list(dlth.random_ticket(model, 0.75)) == ["fc2/kernel"]
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75, allocation={"fc1": 0.5}))
    with pytest.raises(BadInput, match="has a ticket for fc1/kernel, which no penalty can squeeze"):
        fit(model, [transform()[1]])


def test_nan_weights_are_named():
    model = compiled(mlp(), keras.optimizers.SGD(1e30))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75), remove=True)
    fit(model, [KeepMask()], epochs=1)
    assert removed(model) == SPARSE  # removed weights are zero whatever the others are
    entry = masking.prunable_weights(model)["fc1/kernel"]
    entry.weight.assign(np.full(entry.shape, np.nan))
    with pytest.raises(RuntimeError, match="removed weights of fc1/kernel are NaN"):
        masking.check_removed(model)


def test_too_few_epochs_and_a_missing_ticket_are_refused_before_the_first_step():
    model = compiled(mlp())
    with pytest.raises(BadInput, match=r"epochs=2: are too few: 15 steps of transformation need 3 epochs of 5 steps"):
        fit(model, transform(), epochs=2)
    model = compiled(mlp())
    with pytest.raises(BadInput, match="has no ticket yet"):
        fit(model, [transform()[1]])
    with pytest.raises(BadInput, match="no removed weights to keep"):
        fit(compiled(mlp()), [KeepMask()])
    assert masking.steps_made(model) == 0


@pytest.mark.skipif(BACKEND == "torch", reason="Keras 3 on PyTorch refuses more than one step per execution itself")
def test_steps_per_execution_must_divide_the_last_epoch():
    model = compiled(mlp(), steps_per_execution=5)
    fit(model, transform())
    assert removed(model) == SPARSE
    shorter = RSTPenalty(step=0.1, every=1, hold_steps=3, shorten_last_execution=True)
    with pytest.raises(BadInput, match=r"steps_per_execution=5: does not divide the 3 of 13 steps .*: use 3$"):
        fit(compiled(mlp(), steps_per_execution=5), [RandomMask(0.75), shorter])


EXECUTIONS = pytest.mark.skipif(
    BACKEND == "torch", reason="Keras 3 on PyTorch refuses more than one step per execution itself"
)


@pytest.mark.fast_cases("1", "4")
@EXECUTIONS
@pytest.mark.parametrize("execution", [1, 3, 4, 5])
def test_a_transformation_of_whole_epochs_needs_no_execution_that_divides_them(execution):
    outcomes = []
    for steps in (1, execution):
        model = compiled(mlp(), steps_per_execution=steps)
        rst = RSTPenalty.for_epochs(3, steps_per_epoch=5)
        fit(model, [RandomMask(0.75, seed=3), rst], epochs=4)
        assert masking.steps_made(model) == 15 and removed(model) == SPARSE == zeros(model)
        outcomes.append(state(model))
    assert_equal(*outcomes)


@pytest.mark.fast_cases("3")
@pytest.mark.slow_cases("0", "8")
@EXECUTIONS
@pytest.mark.parametrize("step", [0, 3, 5, 8])
def test_imp_rewinds_to_every_step_after_which_an_execution_ends(step):
    outcomes = []
    for execution in (1, 3):
        model = compiled(mlp(), steps_per_execution=execution)
        fit(model, [IMP(0.75, rounds=2, epochs_per_round=2, rewind_step=step)], epochs=5)
        outcomes.append(state(model))
    for name, value in outcomes[0].items():
        np.testing.assert_allclose(value, outcomes[1][name], rtol=1e-5, atol=1e-6, err_msg=name)


@EXECUTIONS
@pytest.mark.parametrize(
    ("step", "why"),
    [
        (4, "does not divide the 4 steps of an epoch before rewind_step=4: use 2"),
        (6, "does not divide the 1 step of an epoch before rewind_step=6: use 1"),
    ],
)
def test_imp_refuses_a_step_within_an_execution_before_anything_changes(step, why):
    model = compiled(mlp(), steps_per_execution=3)
    before = state(model)
    with pytest.raises(BadInput, match=f"^steps_per_execution=3: {why}$"):
        fit(model, [IMP(0.75, rounds=2, epochs_per_round=2, rewind_step=step)], epochs=5)
    assert masking.steps_made(model) == 0 and masking.installed(model) is None
    assert_equal({name: state(model)[name] for name in before}, before)
    used = int(why.rpartition(" ")[2])
    fit(
        compiled(mlp(), steps_per_execution=used), [IMP(0.75, rounds=2, epochs_per_round=2, rewind_step=step)], epochs=5
    )


@EXECUTIONS
def test_an_execution_that_goes_on_into_the_next_epoch_ends_where_keras_3_ends_it():
    x, y = data()
    endless = (batch for _ in range(99) for batch in ((x[:8], y[:8]), (x[8:16], y[8:16])))
    rst = RSTPenalty(step=0.25, every=1, hold_steps=4)
    assert rst.steps == 9
    model = compiled(mlp(), steps_per_execution=3)
    model.fit(endless, steps_per_epoch=5, epochs=2, verbose=0, callbacks=[RandomMask(0.75, seed=3), rst])
    assert masking.steps_made(model) == 9 and removed(model) == SPARSE, "epochs of 5 steps make 6"
    with pytest.raises(BadInput, match=r"=4: does not divide the 9 of 9 steps of the transformation: use 3$"):
        model = compiled(mlp(), steps_per_execution=4)
        model.fit(endless, steps_per_epoch=5, epochs=2, verbose=0, callbacks=[RandomMask(0.75, seed=3), rst])


@EXECUTIONS
def test_an_execution_beyond_the_last_step_is_refused_where_no_one_knows_when_the_data_end():
    import tensorflow as tf

    x, y = data()
    unknown = tf.data.Dataset.from_tensor_slices((x, y)).batch(8).filter(lambda *_: True)
    rst = RSTPenalty(step=0.25, every=1, hold_steps=4)
    model = compiled(mlp(), steps_per_execution=3)
    why = r"^steps_per_execution=3: lets no execution end at step 9, the last \(one ended at step 10\): use 1$"
    with pytest.raises(BadInput, match=why):
        model.fit(unknown, epochs=3, verbose=0, callbacks=[RandomMask(0.75, seed=3), rst])
    assert removed(model) == {} and masking.installed(model) is None
    model = compiled(mlp())
    model.fit(unknown, epochs=3, verbose=0, callbacks=[RandomMask(0.75, seed=3), rst])
    assert masking.steps_made(model) == 9 and removed(model) == SPARSE


def test_a_fit_that_begins_at_a_later_epoch_still_reaches_the_sparsity():
    model = compiled(mlp())
    fit(model, [GradualMagnitude(0.75, every=2)], epochs=6, initial_epoch=3)
    assert removed(model) == SPARSE == zeros(model)


def test_an_own_training_step_with_train_on_batch_keeps_the_masks():
    model = compiled(mlp())
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75), remove=True)
    masking.install(model)
    x, y = data()
    for _ in range(3):
        model.train_on_batch(x, y)
    masking.uninstall(model)
    assert removed(model) == SPARSE == zeros(model)


def test_filters_by_gamma_in_a_network_with_batch_norm():
    keras.utils.set_random_seed(0)
    layers = [L.Dense(8, name="a"), L.BatchNormalization(name="bn"), L.ReLU(), L.Dense(3, name="out")]
    model = compiled(keras.Sequential([keras.Input((6,)), *layers]))
    fit(model, [EarlyBird(0.5, granularity="filter", dense_layers="last", allocation="global")])
    assert removed(model) == {"a/kernel": 0.5}
    whole = zeros(model)
    assert whole == {"a/kernel": 0.5}


def test_the_monitor_writes_scalars_and_histograms(tmp_path):
    model = compiled(mlp())
    monitor = SparsityMonitor(str(tmp_path), histograms=True)
    fit(model, [RandomMask(0.75, remove=True), monitor], epochs=2)
    events = EventAccumulator(str(tmp_path / "sparsity"), size_guidance={"tensors": 0})
    events.Reload()
    read = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors("sparsity/fc1/kernel")]
    assert [step for step, _ in read] == [0, 5, 10]
    assert {float(value) for _, value in read} == {0.75}
    buckets = make_ndarray(events.Tensors("weights/fc1/kernel")[-1].tensor_proto)
    assert buckets[:, 2].sum() == 6 * 16


@pytest.mark.fast_cases("ste", "early_bird")
@pytest.mark.parametrize("name", ["ste", "early_bird", "gmp", "imp"])
def test_weights_outside_the_ticket_before_stay_removed(name):
    model = compiled(mlp())
    first = RandomMask(0.5, seed=3, remove=True)
    fit(model, [first, *CALLBACKS[name]()], epochs=4)
    assert first.ticket is not None and removed(model) == SPARSE
    for key, entry in masking.prunable_weights(model).items():
        assert key not in first.ticket or not np.any(entry.kept() & ~first.ticket[key])
    masking.check_removed(model)
