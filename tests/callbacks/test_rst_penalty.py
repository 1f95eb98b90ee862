"""RSTPenalty: its length, its one update, what it refuses, and that nothing but the steps decides the outcome."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask, RandomMask, RSTPenalty
from tests.callbacks.two_replicas import outcome
from tests.masking.networks import (
    LOSS,
    batches,
    compiled,
    kept_whole,
    largest_removed,
    mlp,
    same,
    train,
    unknown_length,
    watch,
    weights,
    wrapped,
)

ROOT = Path(__file__).resolve().parents[2]
SGD = dlth.optimizers.SGD


def penalty(steps: int = 17, **options) -> RSTPenalty:
    """lambda .25, .5, .75 for two steps each, then held: `steps` steps in all."""
    made = RSTPenalty(step=0.25, every=2, limit=0.5, hold_steps=steps - 5, **options)
    assert made.steps == steps
    return made


def chosen(seed: int = 0) -> tf_keras.Model:
    return wrapped(remove=False, seed=seed)


def transform(
    model: tf_keras.Model,
    callback: RSTPenalty,
    per_epoch: int = 5,
    epochs: int | None = None,
    extra: list | None = None,
):
    epochs = epochs or callback.epochs(per_epoch)
    return model.fit(batches(per_epoch), epochs=epochs, verbose=0, callbacks=[callback, *(extra or [])])


class StopAfter(tf_keras.callbacks.Callback):
    """Another callback that ends the training early."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = self.model.stop_training or int(self.model.optimizer.iterations) >= self.steps


# its length --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_epoch", "execution"),
    [(5, 1), (1, 1), (40, 1), (17, 17), (7, 3), (10, 20)],
)
def test_it_ends_after_exactly_its_steps_and_removes(per_epoch, execution):
    model, callback = chosen(), penalty(shorten_last_execution=True)
    seen = watch(model)
    history = transform(compiled(model, steps_per_execution=execution), callback, per_epoch)
    assert int(model.optimizer.iterations) == int(seen.steps) == 17
    assert len(history.epoch) == callback.epochs(per_epoch) == -(-17 // per_epoch)
    assert largest_removed(model) == 0.0 and not kept_whole(model)
    assert int(model._steps_per_execution) == execution and masking.installed(model) is None
    dlth.strip(model)


def test_more_epochs_than_needed_make_no_more_steps():
    model = compiled(chosen())
    history = transform(model, penalty(), epochs=50)
    assert int(model.optimizer.iterations) == 17 and len(history.epoch) == 4


@pytest.mark.parametrize("execution", [3, 4, 20])
def test_the_length_of_an_execution_changes_no_bit_of_the_weights(execution):
    outcomes = []
    for steps in (1, execution):
        model = compiled(chosen(), steps_per_execution=steps)
        transform(model, penalty(shorten_last_execution=True), per_epoch=10)
        outcomes.append(weights(model))
    assert same(*outcomes)


@pytest.mark.parametrize("options", [{}, {"block_loss_grad": True}], ids=str)
@pytest.mark.parametrize("length", [9, 40])
def test_data_of_unknown_length_are_used_to_the_last_step(length, options):
    outcomes = []
    for data in (unknown_length(length), batches(length)):
        model = compiled(chosen())
        history = model.fit(data, epochs=2, verbose=0, callbacks=[penalty(**options)]).history
        assert int(model.optimizer.iterations) == 17 and largest_removed(model) == 0.0
        outcomes.append((weights(model), history["penalty"]))
    assert same(outcomes[0][0], outcomes[1][0]) and outcomes[0][1] == outcomes[1][1]


def test_data_of_unknown_length_that_end_too_early_remove_nothing():
    model = compiled(chosen())
    with pytest.raises(RuntimeError, match="ended after 9 of 17 steps: nothing was removed"):
        model.fit(unknown_length(9), epochs=1, verbose=0, callbacks=[penalty()])
    assert kept_whole(model)


# its update --------------------------------------------------------------------------------------------------------


def gradients(model: tf_keras.Model, step: int) -> dict[str, np.ndarray]:
    x, y = list(batches(step + 1, dtype="float64"))[step]
    with tf.GradientTape() as tape:
        loss = LOSS(y, model(x))
    found = tape.gradient(loss, model.trainable_variables)
    return {name: gradient.numpy() for name, gradient in zip(masking.named_weights(model), found, strict=True)}


def steps_by_hand(
    model: tf_keras.Model, count: int, block_loss_grad: bool, after_momentum: bool = False
) -> dict[str, np.ndarray]:
    """The published update with lambda = .5, 1, ..., lr .125, momentum .75 and weight decay .0625, written out in NumPy."""
    entries, variables = masking.prunable_weights(model), masking.named_weights(model)
    velocity = dict.fromkeys(variables, 0.0)
    for step in range(count):
        gradient, values = gradients(model, step), weights(model)
        for name, value in values.items():
            dropped = ~entries[name].chosen() if name in entries else np.zeros(value.shape, bool)
            term = 0.5 * (step + 1) * dropped * value if dropped.any() else 0.0
            loss_gradient = 0.0 if block_loss_grad and name in entries else gradient[name]
            direction = loss_gradient + 0.0625 * value + (0.0 if after_momentum else term)
            velocity[name] = 0.75 * velocity[name] + direction
            variables[name].assign(value - 0.125 * (velocity[name] + (term if after_momentum else 0.0)))
    return weights(model)


@pytest.mark.parametrize("block_loss_grad", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_update_is_the_published_one(count, block_loss_grad):
    tf_keras.backend.set_floatx("float64")
    callback = RSTPenalty(step=0.5, every=1, limit=2.0, hold_steps=0, block_loss_grad=block_loss_grad)
    model = compiled(chosen(), SGD(0.125, momentum=0.75, weight_decay=0.0625))
    with pytest.raises(RuntimeError, match=f"ended after {count} of"):
        model.fit(batches(callback.steps, dtype="float64"), verbose=0, callbacks=[callback, StopAfter(count)])
    expected = steps_by_hand(chosen(), count, block_loss_grad)
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)
    for twist in ((not block_loss_grad, False), (block_loss_grad, True)):
        distance = np.abs(steps_by_hand(chosen(), count, *twist)["fc1/kernel"] - expected["fc1/kernel"]).max()
        assert distance > 1e-3 or (count == 1 and twist[1]), (
            "the twin: another update is seen, after momentum from the second step on"
        )


def test_blocking_the_loss_trains_biases_alone():
    model = compiled(chosen(), SGD(0.1))
    before = weights(model)
    transform(model, penalty(block_loss_grad=True, remove_at_end=False))
    after = weights(model)
    for name, entry in masking.prunable_weights(model).items():
        np.testing.assert_array_equal(after[name][entry.chosen()], before[name][entry.chosen()])
        assert (np.abs(after[name]) < np.abs(before[name]))[~entry.chosen()].all()
    assert all((after[f"{layer}/bias"] != before[f"{layer}/bias"]).any() for layer in ("fc1", "fc2", "out"))


def test_kept_weights_are_bit_untouched_by_the_removal():
    outcomes = []
    for remove_at_end in (False, True):
        model = compiled(chosen())
        transform(model, penalty(remove_at_end=remove_at_end))
        outcomes.append(weights(model))
    ticket = masking.chosen_ticket(model)
    for name, squeezed in outcomes[0].items():
        mask = ticket[name] if name in ticket else np.ones(squeezed.shape, bool)
        assert outcomes[1][name].tobytes() == np.where(mask, squeezed, 0).astype("float32").tobytes()
        assert mask.all() or np.all(squeezed[~mask] != 0), "they were there until the removal"


def test_remove_at_end_can_be_left_to_later():
    model = compiled(chosen())
    transform(model, penalty(remove_at_end=False))
    assert kept_whole(model) and masking.installed(model) is None
    with pytest.raises(BadInput, match="not removed yet"):
        dlth.strip(model)


def test_weights_that_an_earlier_cycle_removed_stay_removed():
    model = wrapped(0.5)
    masking.choose(model, dlth.random_ticket(model, 0.8))
    seen = watch(model)
    transform(compiled(model), penalty())
    assert int(seen.steps) == 17 and float(seen.largest) == 0.0
    assert masking.chosen_ticket(model).removed == 173


def test_the_loss_is_not_polluted_by_the_penalty():
    losses = []
    for callbacks in ([], [RSTPenalty(step=100.0, every=1, limit=1.0, hold_steps=0, remove_at_end=False)]):
        model = compiled(chosen())
        model.compile(SGD(0.1), LOSS, metrics=["accuracy"])
        losses.append(model.fit(batches(1), verbose=0, callbacks=callbacks).history)
    assert losses[0]["loss"] == losses[1]["loss"] and losses[0]["accuracy"] == losses[1]["accuracy"]
    assert losses[1]["penalty"] == [100.0]


def test_the_history_has_the_penalty_of_every_epochs_last_step():
    history = transform(compiled(chosen()), penalty(), per_epoch=3).history["penalty"]
    assert history == [0.5, 0.75, 0.75, 0.75, 0.75, 0.75] and len(history) == penalty().epochs(3)
    assert transform(compiled(chosen()), penalty(), per_epoch=1).history["penalty"][:6] == [
        0.25,
        0.25,
        0.5,
        0.5,
        0.75,
        0.75,
    ]


def test_the_penalty_has_the_length_that_the_weights_dtype_gives_it():
    options = {"step": 0.1, "every": 1, "limit": 1.0, "hold_steps": 0}
    for dtype, steps in (("float32", 10), ("float64", 11)):
        callback = RSTPenalty(**options)  # before floatx is set: the weights decide, not the setting
        tf_keras.backend.set_floatx(dtype)
        model = compiled(chosen())
        model.fit(batches(12, dtype=dtype), verbose=0, callbacks=[callback])
        assert int(model.optimizer.iterations) == callback.steps == steps


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": True}], ids=["eager", "jit"])
def test_other_ways_to_run_give_the_same_weights(options):
    outcomes = []
    for chosen_options in ({}, options):
        model = compiled(chosen(), **chosen_options)
        transform(model, penalty())
        outcomes.append(weights(model))
    for name, value in outcomes[0].items():
        np.testing.assert_allclose(outcomes[1][name], value, rtol=0, atol=1e-5)


def test_mixed_precision_squeezes_the_weights_too():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    model = compiled(chosen(), SGD(0.05, momentum=0.9))
    before = weights(model)["fc1/kernel"]
    transform(model, penalty(60, remove_at_end=False))
    dropped = ~masking.chosen_ticket(model)["fc1/kernel"]
    assert np.abs(weights(model)["fc1/kernel"][dropped]).mean() < 0.3 * np.abs(before[dropped]).mean()


# what it refuses ---------------------------------------------------------------------------------------------------


def refused(model: tf_keras.Model, callbacks: list, sentence: str, per_epoch: int = 5, epochs: int = 4) -> None:
    before, steps = weights(model), int(model.optimizer.iterations)
    with pytest.raises(BadInput, match=sentence):
        model.fit(batches(per_epoch), epochs=epochs, verbose=0, callbacks=callbacks)
    assert same(weights(model), before) and int(model.optimizer.iterations) == steps
    assert "update_step" not in vars(model.optimizer), "no hook is left"


def test_a_model_without_a_ticket_is_refused():
    refused(
        compiled(dlth.wrap(mlp())),
        [penalty()],
        "model=mlp: has no ticket yet: put callbacks.RandomMask before RSTPenalty",
    )


def test_a_model_that_is_not_wrapped_is_refused():
    refused(compiled(mlp()), [penalty()], "model=mlp: is not wrapped")


def test_a_random_mask_after_it_is_refused():
    refused(
        compiled(dlth.wrap(mlp())),
        [penalty(), RandomMask(0.5)],
        "has no ticket yet: put callbacks.RandomMask before RSTPenalty",
    )
    other = compiled(chosen())
    refused(
        other,
        [penalty(), RandomMask(0.5, seed=3)],
        "callbacks=RSTPenalty: must come after RandomMask and KeepMask in the list",
    )
    train(other, [RandomMask(0.5, seed=3), penalty()], epochs=3)
    assert masking.chosen_ticket(other) == dlth.random_ticket(other, 0.5, seed=3)


def test_a_keep_mask_after_it_is_refused_and_one_before_it_is_fine():
    model = wrapped(0.5)
    masking.choose(model, dlth.random_ticket(model, 0.8))
    refused(
        compiled(model),
        [penalty(), KeepMask()],
        "callbacks=RSTPenalty: must come after RandomMask and KeepMask in the list",
    )
    train(model, [KeepMask(), penalty()], epochs=3)
    assert masking.chosen_ticket(model).removed == 173 and largest_removed(model) == 0.0


@pytest.mark.parametrize(("per_epoch", "epochs", "needed"), [(5, 3, 4), (1, 16, 17), (16, 1, 2)])
def test_too_few_epochs_are_refused_with_the_number_needed(per_epoch, epochs, needed):
    sentence = f"epochs={epochs}: are too few: 17 steps of transformation need {needed} epochs of {per_epoch} steps"
    refused(compiled(chosen()), [penalty()], sentence, per_epoch, epochs)
    transform(compiled(chosen()), penalty(), per_epoch, needed)


@pytest.mark.parametrize(("per_epoch", "execution", "fits"), [(20, 4, 1), (11, 4, 3), (20, 20, 17)], ids=str)
def test_steps_per_execution_that_does_not_divide_is_refused_with_one_that_does(per_epoch, execution, fits):
    model = compiled(chosen(), steps_per_execution=execution)
    last = 17 % per_epoch
    sentence = f"steps_per_execution={execution}: does not divide the {last} of 17 steps .* use {fits}, or shorten_last_execution=True"
    refused(model, [penalty()], sentence, per_epoch)
    transform(compiled(chosen(), steps_per_execution=fits), penalty(), per_epoch)


def test_steps_per_execution_that_keras_would_change_is_refused():
    sentence = "steps_per_execution=auto: must be a number here"
    refused(compiled(chosen(), steps_per_execution="auto"), [penalty()], sentence)


def test_a_legacy_optimizer_is_refused():
    model = compiled(chosen(), tf_keras.optimizers.legacy.SGD(0.1))
    refused(model, [penalty()], "has no update step of its own to hook into")


def test_averaged_weights_are_refused():
    refused(
        compiled(chosen(), SGD(0.1, use_ema=True)),
        [penalty()],
        "use_ema=True would write averages over removed weights",
    )


def test_an_optimizer_that_made_steps_already_is_refused():
    model = compiled(chosen())
    train(model, [])
    refused(
        model,
        [penalty()],
        "optimizer=6 steps old: RSTPenalty starts from a fresh optimizer: compile again, or pass resume=True",
    )


@pytest.mark.parametrize(
    "options",
    [{"schedule": "y"}, {"step": 0.0}, {"every": 0}, {"limit": -1.0}, {"hold_steps": -1}],
    ids=lambda o: next(iter(o)),
)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        RSTPenalty(**options)


# interrupted and resumed -------------------------------------------------------------------------------------------


def interrupted(model: tf_keras.Model, after: int) -> tf_keras.Model:
    with pytest.raises(
        RuntimeError, match=f"the transformation was ended after {after} of 17 steps: nothing was removed"
    ):
        transform(model, penalty(), per_epoch=17, extra=[StopAfter(after)])
    return model


def test_an_interrupted_transformation_removes_nothing():
    model = interrupted(compiled(chosen()), after=7)
    assert kept_whole(model) and masking.chosen_ticket(model) == masking.chosen_ticket(chosen())
    assert masking.installed(model) is None
    assert all((value != 0).all() for name, value in weights(model).items() if name.endswith("kernel"))


def test_early_stopping_removes_nothing():
    model = compiled(chosen())
    impatient = tf_keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e6)
    with pytest.raises(RuntimeError, match="ended after 10 of 17 steps"):
        transform(model, penalty(), extra=[impatient])
    assert kept_whole(model) and masking.installed(model) is None


@pytest.mark.parametrize("after", [1, 7])
def test_a_fit_in_two_parts_equals_one_fit_to_the_last_bit(after):
    whole, parts = compiled(chosen()), interrupted(compiled(chosen()), after)
    transform(whole, penalty(), per_epoch=17)
    parts.fit(batches(17).skip(after), verbose=0, callbacks=[penalty(resume=True)])
    assert same(weights(parts), weights(whole)) and largest_removed(parts) == 0.0
    for ours, theirs in zip(parts.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Breaks(StopAfter):
    """Ctrl-C, or anything else that leaves fit without its end."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= self.steps:
            raise KeyboardInterrupt


def test_a_fit_that_broke_off_can_be_resumed():
    whole, broken = compiled(chosen()), compiled(chosen())
    transform(whole, penalty(), per_epoch=17)
    with pytest.raises(KeyboardInterrupt):
        transform(broken, penalty(), per_epoch=17, extra=[Breaks(7)])
    assert kept_whole(broken)
    broken.fit(batches(17).skip(7), verbose=0, callbacks=[penalty(resume=True)])
    assert same(weights(broken), weights(whole)) and masking.installed(broken) is None


def test_resuming_with_a_fresh_optimizer_is_something_else():
    whole, parts = compiled(chosen()), compiled(interrupted(compiled(chosen()), after=7))
    transform(whole, penalty(), per_epoch=17)
    parts.fit(batches(24).skip(7), verbose=0, callbacks=[penalty()])
    assert not same(weights(parts), weights(whole))


def test_a_transformation_goes_on_from_a_checkpoint_in_another_model(tmp_path):
    whole, first, other = compiled(chosen()), interrupted(compiled(chosen()), after=7), compiled(dlth.wrap(mlp(seed=1)))
    transform(whole, penalty(), per_epoch=17)
    path = tf.train.Checkpoint(model=first, optimizer=first.optimizer).write(str(tmp_path / "ckpt"))
    tf.train.Checkpoint(model=other, optimizer=other.optimizer).read(path)
    other.fit(batches(17).skip(7), verbose=0, callbacks=[penalty(resume=True)])
    assert same(weights(other), weights(whole))


def test_what_is_left_decides_how_many_epochs_a_resumed_fit_needs():
    model = interrupted(compiled(chosen()), after=7)
    refused(
        model,
        [penalty(resume=True)],
        "epochs=1: are too few: 10 steps of transformation need 2 epochs of 5 steps",
        epochs=1,
    )
    transform(model, penalty(resume=True), epochs=2)
    assert int(model.optimizer.iterations) == 17 and largest_removed(model) == 0.0


def test_resuming_what_is_complete_is_refused():
    model = compiled(chosen())
    transform(model, penalty(remove_at_end=False))
    refused(model, [penalty(resume=True)], "optimizer=17 steps old: has made all 17 steps already")


# replicas ----------------------------------------------------------------------------------------------------------


def test_two_replicas_give_what_one_gives(tmp_path):
    command = [sys.executable, "-m", "tests.callbacks.two_replicas", str(tmp_path / "two.npz")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    one = outcome(tf.distribute.get_strategy())
    with np.load(tmp_path / "two.npz") as two:
        assert (int(one["replicas"]), int(two["replicas"])) == (1, 2)
        assert set(one) == set(two) and float(two["removed"]) == 0.0
        for name, value in one.items():
            if name.startswith("mask/"):
                np.testing.assert_array_equal(two[name], value)
            elif name != "replicas":
                np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-6, err_msg=name)
        assert np.abs(two["trained/fc1/kernel"] - one["squeezed/fc1/kernel"]).max() > 1e-2, (
            "the twin: a difference is seen"
        )
