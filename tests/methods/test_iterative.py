"""Iterative methods from cycle to cycle: nesting, deletion, rewinding to a step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlth_tf.core import cumulative_sparsity, removed_count
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.plan import make_recipe
from dlth_tf.runs.recipe import lay_out
from tests.methods.tiny_network import PRUNED, initial, same, ticket
from tests.runs.tiny import tiny, train


def zeros(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns masks of the pruned tensors, True = the weight is zero."""
    return {name: weights[name] == 0 for name in PRUNED}


def test_rst_iter_without_deletion_removes_only_at_the_end(tiny_runs):
    watched = tiny_runs["rst_iter"].watched
    assert not any(zero.any() for zero in zeros(watched.before["transform_2"]).values())
    removed = zeros(watched.before["finetune"])
    assert all(np.array_equal(removed[name], ~ticket(tiny_runs["rst_iter"])[name]) for name in PRUNED)


@pytest.mark.slow
def test_rst_iter_with_deletion_removes_the_cumulative_count_and_keeps_it_removed(tmp_path):
    watched = train(tiny("rst_iter", tmp_path / "run", delete_between_cycles=True, cycles=3)).watched
    stages = [zeros(watched.before[name]) for name in ("transform_2", "transform_3", "finetune")]
    for name in PRUNED:
        counts = [int(stage[name].sum()) for stage in stages]
        assert counts == [
            removed_count(stages[0][name].size, cumulative_sparsity(0.9, cycle, 3)) for cycle in (1, 2, 3)
        ]
        assert all((later[name] | ~earlier[name]).all() for earlier, later in itertools.pairwise(stages))
        assert np.array_equal(zeros(watched.after["transform_2"])[name], stages[0][name])


def test_rst_iter_ends_with_the_very_ticket_of_rst(tiny_runs):
    assert ticket(tiny_runs["rst_iter"]) == ticket(tiny_runs["rst"]) != ticket(tiny_runs["lth_iter"])


@pytest.mark.slow
def test_rst_iter_can_finetune_between_cycles(tmp_path):
    done = train(tiny("rst_iter", tmp_path / "run", finetune_between_cycles=True, round_epochs="3it"))
    assert [(phase["name"], phase["steps"]) for phase in done.result["phases"]] == [
        ("transform_1", 9),
        ("finetune_1", 3),
        ("transform_2", 9),
        ("finetune", 16),
    ]
    assert all(zero.any() for zero in zeros(done.watched.after["finetune_1"]).values())
    # They are not deleted, so they grow again, except those that no gradient reaches (pixels that are always 0).
    removed = zeros(done.watched.after["finetune_1"])
    left = zeros(done.watched.after["transform_2"])
    assert all(left[name].sum() < 0.5 * removed[name].sum() for name in PRUNED)


def test_lth_iter_prunes_by_trained_magnitude_inside_the_last_ticket_and_rewinds(tiny_runs):
    done = tiny_runs["lth_iter"]
    start = initial()
    second = done.watched.before["round_2"]
    last = done.watched.before["finetune"]
    for name in PRUNED:
        once = second[name] == 0
        twice = last[name] == 0
        assert int(once.sum()) == removed_count(once.size, cumulative_sparsity(0.9, 1, 2)) and (twice | ~once).all()
        trained = np.abs(done.watched.after["round_2"][name])
        assert trained[~twice].min() >= trained[twice].max()
        assert np.array_equal(last[name][~twice], start[name][~twice])


@pytest.mark.parametrize("steps_per_execution", [1, 8])
@pytest.mark.slow
def test_lth_iter_rewinds_to_the_very_weights_of_the_step(tmp_path, steps_per_execution):
    five = train(tiny("lth_iter", tmp_path / "five", epochs="5it", lr_values="0.1", cycles=1)).watched.after["round_1"]
    changes = {"rewind_step": 5, "lr_values": "0.1", "steps_per_execution": steps_per_execution}
    done = train(tiny("lth_iter", tmp_path / "run", **changes))
    assert [(phase["name"], phase["steps"]) for phase in done.result["phases"]] == [
        ("round_1", 16),
        ("round_2", 11),
        ("finetune", 11),
    ]
    for phase in ("round_2", "finetune"):
        rewound = done.watched.before[phase]
        for name, weight in five.items():
            kept = rewound[name] != 0 if name in PRUNED else np.ones(weight.shape, bool)
            assert np.array_equal(rewound[name][kept], weight[kept])
    assert not same(five, initial())


@pytest.mark.slow
def test_rewound_weights_do_not_depend_on_steps_per_execution(tmp_path):
    options = {"rewind_step": 5, "cycles": 1, "epochs": 1}
    runs = [train(tiny("lth_iter", tmp_path / str(n), steps_per_execution=n, **options)) for n in (1, 3, 20)]
    assert len({run.result["weights_sha256"] for run in runs}) == 1


@pytest.mark.slow
def test_batches_after_rewinding_are_those_from_the_step_on(tmp_path, tiny_runs):
    whole = tiny_runs["lth_iter"].watched.batches["finetune"]
    rewound = train(tiny("lth_iter", tmp_path / "run", rewind_step=5)).watched.batches["finetune"]
    assert rewound == whole[5:]


def test_a_rewind_step_beyond_the_round_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(BadInput, match=r"rewind_step=16it: must be below 16, the number of steps of a round"):
        train(tiny("lth_iter", tmp_path / "run", rewind_step=16))
    assert not (tmp_path / "run").exists()


def test_l1_does_not_rewind(tiny_runs):
    watched = tiny_runs["l1"].watched
    mask = ticket(tiny_runs["l1"])["fc1/kernel"]
    assert np.array_equal(watched.before["finetune"]["fc1/kernel"][mask], watched.after["train"]["fc1/kernel"][mask])


def test_l1_iter_prunes_in_cycles_from_the_trained_weights(tiny_runs):
    watched = tiny_runs["l1_iter"].watched
    first = zeros(watched.before["finetune_1"])
    last = zeros(watched.before["finetune"])
    for name in PRUNED:
        assert int(first[name].sum()) == removed_count(first[name].size, cumulative_sparsity(0.9, 1, 2))
        assert (last[name] | ~first[name]).all()
        kept = ~last[name]
        assert np.array_equal(watched.before["finetune"][name][kept], watched.after["finetune_1"][name][kept])


def test_scratch_long_sees_as_many_images_as_rst(tiny_runs):
    long, rst = (tiny_runs[method].result["cost"]["images_seen"] for method in ("scratch_long", "rst"))
    assert 0 <= long - rst < 128
    assert ticket(tiny_runs["scratch_long"]) == ticket(tiny_runs["scratch"])


def test_lth_long_trains_the_ticket_of_lth_for_the_images_of_the_transformation():
    shared = {"dataset": "digits", "model": "lenet_300_100", "sparsity": 0.9, "epochs": 2}
    config = RunConfig(method="lth_long", penalty_step=0.01, penalty_every=1, hold_steps=3, **shared)
    lth, long, rst = (lay_out(name, make_recipe(config, 1097)) for name in ("lth", "lth_long", "rst"))
    assert [phase.name for phase in long] == [phase.name for phase in lth] and long[0] == lth[0]
    images = [sum(phase.steps * phase.batch_size for phase in phases) for phases in (long, rst)]
    assert 0 <= images[0] - images[1] < config.batch_size
    assert long[1].learning_rate == lth[1].learning_rate.stretched(long[1].steps / lth[1].steps)


@pytest.mark.parametrize("option", [{"granularity": "block:7x1"}, {"allocation": '{"fc9": 0.5}'}], ids=str)
def test_a_ticket_that_does_not_fit_the_network_is_refused_and_nothing_written(option, tmp_path):
    with pytest.raises(BadInput):
        train(tiny("rst", tmp_path / "run", **option))
    assert not (tmp_path / "run").exists()


CHOICES = [
    ("erk", "weight", 0.9),
    ("global", "weight", 0.9),
    ('{"fc1": 0.5, "fc2": 0.8}', "weight", 0.5),
    ("uniform", "filter", 0.5),
    ("uniform", "2:4", 0.5),
]


@pytest.mark.fast_cases("scratch-erk-weight-0.9", "l1-uniform-2:4-0.5")
# In the fast tests each choice once, with a method of one phase or two; all methods with the first and the fourth:
# tests/runs/test_contract_product.py.
@pytest.mark.fast_cases("scratch-erk-weight-0.9")
@pytest.mark.slow_cases("rst-global-weight-0.9", "l1-uniform-2:4-0.5", "lth_iter-{*")
@pytest.mark.parametrize(
    ("method", "allocation", "granularity", "sparsity"),
    [
        *[("scratch", *choice) for choice in CHOICES[:3]],
        *[("l1", *choice) for choice in CHOICES[3:]],
        *[
            pytest.param(method, *CHOICES[index], marks=pytest.mark.slow)
            for method in ("rst", "lth_iter")
            for index in (1, 2, 4)
        ],
    ],
)
def test_any_allocation_and_granularity_goes_with_a_method(method, allocation, granularity, sparsity, tmp_path):
    width = {"model_args": '{"width": 0.12}'}  # 36 and 12 units: multiples of 4
    done = train(
        tiny(
            method,
            tmp_path / "run",
            allocation=allocation,
            granularity=granularity,
            sparsity=sparsity,
            epochs="2it",
            **width,
        )
    )
    kept = ticket(done)
    if granularity == "filter":
        assert all((mask.all(0) | ~mask.any(0)).all() for mask in kept.values())
    if granularity == "2:4":
        assert all((mask.reshape(-1, 4, mask.shape[1]).sum(1) == 2).all() for mask in kept.values())
    if allocation.startswith("{"):
        assert [round(1 - float(kept[name].mean()), 2) for name in PRUNED] == [0.5, 0.8]
    if allocation in ("erk", "global"):
        assert kept.removed == removed_count(kept.size, sparsity)
    assert all(np.array_equal(done.weights[name] != 0, mask) for name, mask in kept.items())
