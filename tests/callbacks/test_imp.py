"""IMP: equal to an explicit loop of fits; the start of every round; nested tickets."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, Ticket, masking
from dlth_tf.callbacks import IMP, KeepMask
from dlth_tf.core import cumulative_sparsity, removed_count
from tests.callbacks.refusals import Breaks
from tests.masking.kinds import KINDS, fit_kind
from tests.masking.networks import (
    batches,
    compiled,
    kept_whole,
    largest_removed,
    mlp,
    same,
    unknown_length,
    weights,
)

SGD = dlth.optimizers.SGD
STEPS = 4


def scheduled() -> SGD:
    return SGD(tf_keras.optimizers.schedules.PiecewiseConstantDecay([2, 5], [0.2, 0.1, 0.05]), momentum=0.9)


def by_callback(imp: IMP, optimizer: Any = None, data: Any = None, **options: Any) -> tf_keras.Model:
    model = compiled(dlth.wrap(mlp()), optimizer or scheduled(), **options)
    model.fit(batches(STEPS) if data is None else data, epochs=imp.epochs(), verbose=0, callbacks=[imp])
    assert largest_removed(model) == 0.0 and masking.installed(model) is None
    return model


@functools.cache
def plain() -> tuple[dict[str, np.ndarray], list[Ticket]]:
    imp = IMP(0.8, 2, 2, 5)
    return weights(by_callback(imp)), imp.tickets


def by_loop(rounds: int, epochs: int, rewind_step: int) -> tf_keras.Model:
    """Runs one fit per round, each with a fresh optimizer at the rewind step, rewound weights and a nested ticket."""
    model = compiled(dlth.wrap(mlp()), scheduled())
    start = weights(model)
    if rewind_step:
        model.fit(batches(STEPS).repeat().take(rewind_step), verbose=0)
        start = weights(model)
        model = compiled(dlth.wrap(mlp()), scheduled())
    for cycle in range(1, rounds + 2):
        model.fit(batches(STEPS), epochs=epochs, verbose=0, callbacks=[] if kept_whole(model) else [KeepMask()])
        if cycle <= rounds:
            ticket = dlth.magnitude_ticket(model, 0.8, cycle=(cycle, rounds), within=masking.chosen_ticket(model))
            masking.choose(model, ticket)
            masking.rewind(model, start)
            compiled(model, scheduled()).optimizer.iterations.assign(rewind_step)
    return model


@pytest.mark.parametrize(("epochs", "rewind_step"), [(2, 5), pytest.param(1, 0, marks=pytest.mark.slow)])
def test_it_is_an_explicit_loop_of_fits_bit_for_bit(epochs, rewind_step):
    model = by_callback(IMP(0.8, 2, epochs, rewind_step))
    loop = by_loop(2, epochs, rewind_step)
    assert same(weights(model), weights(loop)) and masking.chosen_ticket(model) == masking.chosen_ticket(loop)
    assert int(model.optimizer.iterations) == int(loop.optimizer.iterations) == rewind_step + epochs * STEPS
    for ours, theirs in zip(model.optimizer.velocities, loop.optimizer.velocities, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Rounds(tf_keras.callbacks.Callback):
    """Records weights, optimizer slots, step count and masks at the start of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[dict[str, np.ndarray]] = []
        self.slots: list[list[np.ndarray]] = []
        self.iterations: list[int] = []
        self.masks: list[dict[str, np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        optimizer = masking.inner_optimizer(self.model)
        apart = (id(optimizer.iterations), id(optimizer._learning_rate))
        self.weights.append(weights(self.model))
        self.slots.append([variable.numpy() for variable in optimizer.variables if id(variable) not in apart])
        self.iterations.append(int(optimizer.iterations))
        self.masks.append({name: entry.kept() for name, entry in masking.prunable_weights(self.model).items()})


def test_every_round_starts_from_the_rewound_weights_with_empty_slots():
    model = compiled(dlth.wrap(mlp()), tf_keras.optimizers.Adam(0.01), run_eagerly=True)
    seen = Rounds()
    imp = IMP(0.8, rounds=2, epochs_per_round=2, rewind_step=3)
    model.fit(batches(STEPS), epochs=6, verbose=0, callbacks=[imp, seen])
    assert seen.iterations == [0, 4, 3, 7, 3, 7]
    assert all(not slot.any() for epoch in (0, 2, 4) for slot in seen.slots[epoch])
    assert all(slot.any() for slot in seen.slots[1]), "the twin: in the middle of a round they are full"
    for epoch in (2, 4):
        for name, value in seen.weights[epoch].items():
            mask = seen.masks[epoch].get(name, np.ones(value.shape, bool))
            assert np.array_equal(value, np.where(mask, seen.weights[2][name], 0)) or epoch == 2
            assert np.array_equal(value != 0, mask) or name.endswith("bias")
    assert (seen.weights[2]["fc1/bias"] != seen.weights[0]["fc1/bias"]).any(), "not the weights of the very start"


def test_tickets_nest_and_have_the_cumulative_counts():
    imp = IMP(0.9, rounds=3)
    model = by_callback(imp, run_eagerly=True)
    for name, size in (("fc1/kernel", 96), ("fc2/kernel", 120)):
        kept = [ticket[name] for ticket in imp.tickets]
        assert [int((~mask).sum()) for mask in kept] == [
            removed_count(size, cumulative_sparsity(0.9, cycle, 3)) for cycle in (1, 2, 3)
        ]
        assert all((earlier | ~later).all() for earlier, later in itertools.pairwise(kept))
    assert masking.chosen_ticket(model) == imp.tickets[-1] and "out/kernel" not in imp.tickets[-1]


def test_running_statistics_are_rewound():
    kind = KINDS["conv2d, batch norm, dropout"]
    seen = Rounds()
    model = dlth.wrap(kind.model())
    imp = IMP(0.5, rounds=1, dense_layers="out")
    inputs = tf.data.Dataset.from_tensors((kind.inputs(), np.zeros((6, 2), "float32"))).repeat(3)
    model.compile(SGD(0.01), "mse", run_eagerly=True)
    model.fit(inputs, epochs=2, verbose=0, callbacks=[imp, seen])
    after = weights(model)
    for name in ("bn/moving_mean", "bn/moving_variance", "bn/gamma"):
        assert np.array_equal(seen.weights[1][name], seen.weights[0][name])
        assert not np.array_equal(after[name], seen.weights[0][name])


@pytest.mark.fast_cases("3 steps")
@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_execution": 3},
        {"data": unknown_length(STEPS)},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
    ids=["3 steps", "unknown", "jit"],
)
def test_other_ways_to_run_give_the_same(options):
    imp = IMP(0.8, 2, 2, 5)
    model = by_callback(imp, **options)
    assert imp.tickets == plain()[1] and int(model.optimizer.iterations) == 5 + 2 * STEPS
    assert int(model._steps_per_execution) == options.get("steps_per_execution", 1)
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, plain()[0][name], rtol=0, atol=1e-6 if "jit_compile" in options else 0)


def test_rewinding_to_the_start_is_something_else():
    """The negative twin of the tests above: the rewind step matters."""
    model = by_callback(IMP(0.8, 2, 2, 0), run_eagerly=True)
    assert np.abs(weights(model)["fc1/kernel"] - plain()[0]["fc1/kernel"]).max() > 1e-3


def test_one_callback_can_be_used_again_also_after_a_fit_that_broke_off():
    imp = IMP(0.8, 2, 1, rewind_step=2)
    first = weights(by_callback(imp, run_eagerly=True))
    with pytest.raises(KeyboardInterrupt):
        model = compiled(dlth.wrap(mlp(seed=3)), scheduled(), run_eagerly=True)
        model.fit(batches(STEPS), epochs=3, verbose=0, callbacks=[imp, Breaks(3)])
    assert kept_whole(model) and same(weights(by_callback(imp, run_eagerly=True)), first)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_has_the_counts_and_the_slots_of_the_inner_optimizer(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    seen = Rounds()
    imp = IMP(0.8, 2, 1, 2)
    model = compiled(dlth.wrap(mlp()), SGD(0.05, momentum=0.9))
    model.fit(batches(STEPS), epochs=3, verbose=0, callbacks=[imp, seen])
    assert seen.iterations == [0, 2, 2] and not any(slot.any() for slots in seen.slots for slot in slots)
    assert imp.tickets[-1].removed == removed_count(96, 0.8) + removed_count(120, 0.8) and largest_removed(model) == 0.0


def test_filters_and_a_global_allocation_go_with_it():
    imp = IMP(0.5, 1, granularity="filter", allocation="global")
    by_callback(imp, run_eagerly=True)
    assert all((mask.all(0) | ~mask.any(0)).all() for mask in imp.tickets[0].values()) and imp.tickets[0].removed >= 108


def test_shared_and_nested_layers_are_rewound_once():
    kind = KINDS["nested, shared"]
    model = dlth.wrap(kind.model())
    imp = IMP(0.5, 1)
    before = weights(model)
    inputs = kind.inputs()
    model.compile(SGD(0.0), "mse", run_eagerly=True)
    model.fit(inputs, np.zeros((6, 2)), epochs=2, verbose=0, callbacks=[imp])
    assert all(
        np.array_equal(value, np.where(imp.tickets[0].get(name, True), before[name], 0))
        for name, value in weights(model).items()
    )
    with pytest.raises(BadInput, match="epochs=1: are too few"):
        fit_kind(kind, model, [IMP(0.5, 1)])


def test_epochs_says_what_fit_needs():
    assert IMP(0.5, 3, 4).epochs() == 16 and IMP(0.5, 3, 4).epochs(finetune=10) == 22
