"""A schedule that ends before its target says so; one that reaches it is quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import IMP, DynamicSparsity, EarlyBird, GradualMagnitude, RandomMask, StraightThrough
from tests.callbacks.every_callback import CALLBACKS, PER_EPOCH, fit, network, quick_or_slow, said
from tests.callbacks.transforming import penalty
from tests.masking.networks import batches, compiled, largest_removed, mlp, unknown_length

slow = pytest.mark.slow
Early = tf_keras.callbacks.EarlyStopping


class Quality(tf_keras.callbacks.Callback):
    """Reports a quality that is best at one epoch."""

    def __init__(self, best: int) -> None:
        super().__init__()
        self.best = best

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["quality"] = -abs(epoch - self.best)


def stopping(best: int, **options: Any) -> list[Any]:
    """Returns callbacks that end training at the epoch after the best one."""
    return [Quality(best), Early("quality", mode="max", patience=1, **options)]


def restoring(best: int) -> list[Any]:
    """Returns callbacks that restore the weights of the best epoch when training ends at its regular end."""
    return [Quality(best), Early("quality", mode="max", patience=99, restore_best_weights=True)]


def removed(model: tf_keras.Model, name: str = "fc1/kernel") -> float:
    return 1 - float(masking.prunable_weights(model)[name].kept().mean())


@pytest.mark.fast_cases("gradual")
@quick_or_slow("gradual", "imp that rewinds to step 3", "early bird that settles")
def test_a_schedule_that_runs_to_its_end_is_quiet(name, caplog):
    model = network()
    fit(model, CALLBACKS[name](model))
    assert said(caplog) == []


SHORT: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "gradual": (
        lambda: [GradualMagnitude(0.9, every=2)],
        "GradualMagnitude: asked for a sparsity of 0.9",
    ),
    "imp": (lambda: [IMP(0.9, rounds=3)], "IMP: asked for a sparsity of 0.9"),
    "early bird": (
        lambda: [EarlyBird(0.9, threshold=0.0, last_epoch=5)],
        "EarlyBird: asked for a sparsity of 0.9, reached 0: training ended before the ticket was drawn",
    ),
    "early bird in a ticket": (
        lambda: [RandomMask(0.5, remove=True), EarlyBird(0.9, threshold=0.0, last_epoch=5)],
        "EarlyBird: asked for a sparsity of 0.9, reached 0.5: training ended before the ticket was drawn",
    ),
    "exchanges": (
        lambda: [RandomMask(0.8, remove=True), DynamicSparsity(every=3)],
        "DynamicSparsity: training ended after 8 optimizer steps, with 2 of 5 exchanges made; the last was due at step",
    ),
}


@pytest.mark.fast_cases("gradual-before", "early bird in a ticket-before")
@pytest.mark.parametrize("first", [True, pytest.param(False, marks=slow)], ids=["before", "after"])
@pytest.mark.parametrize("name", SHORT)
def test_training_that_ends_early_says_which_sparsity_was_reached(name, first, caplog):
    build, sentence = SHORT[name]
    model = network()
    ours, theirs = build(), stopping(0)
    fit(model, [*theirs, *ours] if first else [*ours, *theirs])
    warnings = said(caplog)
    assert len(warnings) == 1 and warnings[0].startswith(sentence) and "train on" in warnings[0]
    if "reached" in warnings[0]:
        reached = float(warnings[0].split("reached ")[1].split(":")[0])
        pruned = [masking.prunable_weights(model)[name].kept() for name in ("fc1/kernel", "fc2/kernel")]
        share = 1 - sum(kept.sum() for kept in pruned) / sum(kept.size for kept in pruned)
        assert reached == pytest.approx(share, abs=1e-3) and reached < 0.9
    assert largest_removed(model) == 0.0 and masking.installed(model) is None


@pytest.mark.fast_cases("gradual-<lambda>-before", "imp-<lambda>-after")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("name", "build"), [("gradual", SHORT["gradual"][0]), ("imp", SHORT["imp"][0])])
def test_weights_of_an_early_epoch_that_are_restored_at_the_end_are_noticed(name, build, first, caplog):
    model = network()
    ours, theirs = build(), restoring(0)
    fit(model, [*theirs, *ours] if first else [*ours, *theirs])
    (warning,) = said(caplog)
    assert "asked for a sparsity of 0.9" in warning and "EarlyStopping(restore_best_weights=True)" in warning
    assert removed(model) < 0.9 and largest_removed(model) == 0.0
    kept = {name: entry.kept() for name, entry in masking.prunable_weights(model).items()}
    chosen = masking.chosen_ticket(model)
    assert all((mask == chosen.get(name, True)).all() for name, mask in kept.items()) or name == "imp"
    stripped = dlth.strip(model) if name == "gradual" else None
    assert stripped is None or stripped.get_layer("fc1").kernel is model.get_layer("fc1").kernel


@pytest.mark.fast_cases("straight through-before")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "name",
    ["straight through", *(pytest.param(name, marks=slow) for name in ("random mask", "keep mask", "random growth"))],
)
def test_what_is_sparse_from_the_first_step_may_restore_any_epoch(name, first, caplog):
    model = network()
    ours, theirs = CALLBACKS[name](model), restoring(2)
    fit(model, [*theirs, *ours] if first else [*ours, *theirs])
    assert said(caplog) == []
    assert largest_removed(model) == 0.0 and removed(model) >= 0.49
    dlth.strip(model)


@pytest.mark.fast_cases("stopping-before", "restoring-after")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("theirs", [stopping, restoring])
def test_a_transformation_that_another_callback_ends_or_undoes_is_an_error(theirs, first):
    model = network()
    ours = [RandomMask(0.5), penalty(21)]
    with pytest.raises(RuntimeError, match=r"nothing was removed|has put weights back"):
        fit(model, [*theirs(0), *ours] if first else [*ours, *theirs(0)])
    assert masking.installed(model) is None and "update_step" not in vars(model.optimizer)


def test_early_stopping_that_starts_after_the_schedule_is_quiet(caplog):
    model = network()
    theirs = [Quality(3), Early("quality", mode="max", patience=1, restore_best_weights=True, start_from_epoch=3)]
    fit(model, [GradualMagnitude(0.9, begin=2, end=10, every=2), *theirs])
    assert removed(model) == pytest.approx(0.9, abs=0.01) and int(model.optimizer.iterations) == 5 * PER_EPOCH
    assert said(caplog) == []


@pytest.mark.parametrize("name", ["gradual", "dynamic"])
def test_data_of_unknown_length_that_end_early_are_noticed(name, caplog):
    model = network()
    callbacks = {
        "gradual": [GradualMagnitude(0.9, begin=2, end=30, every=2)],
        "dynamic": [RandomMask(0.8, remove=True), DynamicSparsity(every=3, stop=30)],
    }[name]
    model.fit(unknown_length(4), epochs=3, verbose=0, callbacks=callbacks)
    (warning,) = said(caplog)
    assert "training ended after 12 optimizer steps" in warning and largest_removed(model) == 0.0


class Accumulating(tf_keras.Model):
    """Makes one optimizer step for every `every` batches, or `times` steps for every batch."""

    every = 1
    times = 1

    def prepare(self, every: int = 1, times: int = 1) -> Accumulating:
        self.every = every
        self.times = times
        self.sums = [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in self.trainable_weights]
        self.seen = tf.Variable(0, trainable=False)
        return self

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, targets, self(inputs, training=True))
        for total, gradient in zip(self.sums, tape.gradient(loss, self.trainable_weights), strict=True):
            total.assign_add(gradient)
        self.seen.assign_add(1)

        def step() -> bool:
            for _ in range(self.times):
                self.optimizer.apply_gradients(zip(self.sums, self.trainable_weights, strict=True))
            for total in self.sums:
                total.assign(tf.zeros_like(total))
            return True

        tf.cond(self.seen % self.every == 0, step, lambda: False)
        return {"loss": loss}


def accumulating(**options: int) -> Accumulating:
    plain = mlp()
    model = dlth.wrap(Accumulating(plain.inputs, plain.outputs))
    return compiled(model, tf_keras.optimizers.SGD(0.01)).prepare(**options)


def test_batches_whose_gradients_are_accumulated_are_not_counted_as_steps(caplog):
    model = accumulating(every=4)
    fit(model, [GradualMagnitude(0.9, every=2)], epochs=8)
    assert int(model.optimizer.iterations) == 8
    (warning,) = said(caplog)
    reached = float(warning.split("reached ")[1].split(":")[0])
    assert "training ended after 8 optimizer steps" in warning and reached == pytest.approx(removed(model), abs=0.01)


def test_steps_of_the_optimizer_that_are_given_are_reached_with_accumulation(caplog):
    model = accumulating(every=2)
    fit(model, [GradualMagnitude(0.9, begin=2, end=12, every=2)], epochs=8)
    assert removed(model) == pytest.approx(0.9, abs=0.01) and largest_removed(model) == 0.0
    assert not said(caplog)


@pytest.mark.parametrize("options", [{"every": 2}, {"times": 2}], ids=["accumulated", "two steps a batch"])
def test_a_transformation_ends_at_its_step_however_many_batches_that_takes(options):
    model = accumulating(**options)
    transform = penalty(16)
    fit(model, [RandomMask(0.5), transform], epochs=12)
    assert int(model.optimizer.iterations) == 16 and largest_removed(model) == 0.0
    assert int(model.seen) == (32 if "every" in options else 8)


def test_two_steps_a_batch_reach_the_sparsity_early_and_keep_it(caplog):
    model = accumulating(times=2)
    fit(model, [GradualMagnitude(0.9, every=2)])
    assert int(model.optimizer.iterations) == 48 and removed(model) == pytest.approx(0.9, abs=0.01)
    assert largest_removed(model) == 0.0 and not said(caplog)


@pytest.mark.parametrize(
    "name",
    [
        "gradual",
        *(
            pytest.param(name, marks=slow)
            for name in ("straight through", "random growth", "early bird at the last epoch")
        ),
    ],
)
def test_an_optimizer_that_has_made_steps_starts_the_schedule_where_it_is(name, caplog):
    model = network()
    fit(model, [], epochs=3)
    fit(model, CALLBACKS[name](model))
    sparsity = 0.9 if name in ("gradual", "straight through") else 0.8
    assert int(model.optimizer.iterations) == 36 and removed(model) == pytest.approx(sparsity, abs=0.01)
    assert said(caplog) == []


@pytest.mark.parametrize("name", ["imp", "penalty"])
def test_what_needs_a_fresh_optimizer_refuses_a_used_one(name):
    model = network()
    fit(model, [], epochs=1)
    with pytest.raises(BadInput, match="starts from a fresh optimizer"):
        fit(model, CALLBACKS[name](model))
    assert masking.installed(model) is None


def test_steps_that_a_used_optimizer_has_passed_are_pruned_at_once_to_the_end(caplog):
    model = network()
    model.fit(batches(4), epochs=4, verbose=0)
    fit(model, [GradualMagnitude(0.9, begin=2, end=12, every=2)], epochs=1)
    assert removed(model) == pytest.approx(0.9, abs=0.01) and largest_removed(model) == 0.0 and not said(caplog)


def test_straight_through_reaches_its_sparsity_in_one_step(caplog):
    model = network()
    model.fit(batches(1), verbose=0, callbacks=[StraightThrough(0.9)])
    assert removed(model) == pytest.approx(0.9, abs=0.01) and not said(caplog)
