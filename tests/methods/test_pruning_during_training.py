"""set, rigl, gmp, ste and early_bird: their effects on the network, observed in watched runs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import dlth_tf
from dlth_tf import masking
from dlth_tf.core import removed_count
from tests.methods.tiny_network import PRUNED, REMOVED, initial, network, same, slow, ticket
from tests.runs.tiny import tiny, train


def removed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns masks of the pruned tensors, True = the weight is zero."""
    return {name: weights[name] == 0 for name in PRUNED}


@pytest.mark.parametrize("method", ["rigl", slow("set")])
def test_set_and_rigl_start_from_the_random_ticket_and_exchange_as_many(method, tiny_runs):
    done = tiny_runs[method]
    model = network()
    start = dlth_tf.random_ticket(model, 0.9, 0)
    assert all(np.array_equal(zero, ~start[name]) for name, zero in removed(done.watched.before["finetune"]).items())
    assert ticket(done) != start and {name: int((~mask).sum()) for name, mask in ticket(done).items()} == REMOVED
    assert done.history["sparsity"].nunique() == 1
    returned = [np.count_nonzero(ticket(done)[name] & ~start[name]) for name in PRUNED]
    assert all(0 < count < 0.9 * start[name].sum() for count, name in zip(returned, PRUNED, strict=True)), (
        "most weights stay"
    )


@pytest.mark.slow
def test_set_and_rigl_grow_others(tiny_runs):
    assert ticket(tiny_runs["set"]) != ticket(tiny_runs["rigl"])


def test_gmp_prunes_a_dense_network_step_by_step_to_the_exact_count(tmp_path):
    done = train(tiny("gmp", tmp_path / "run", epochs=5))
    assert same(done.watched.before["train"], initial())
    sparsity = done.history["sparsity"].tolist()
    assert sparsity[0] == 0 < sparsity[1] < sparsity[2] == sparsity[3] == sparsity[4]
    assert {name: int(zero.sum()) for name, zero in removed(done.weights).items()} == REMOVED
    by_hand = 1 - (1 - (16 - 10) / (20 - 10)) ** 3  # after the 16 steps of two epochs, between a quarter and half of 40
    total = 64 * 30 + 300 + 100
    assert sparsity[1] * total == sum(removed_count(size, 0.9 * by_hand) for size in (1920, 300))


@pytest.mark.slow
def test_ste_is_sparse_from_the_first_step_and_trains_other_weights_than_gmp(tiny_runs):
    done = tiny_runs["ste"]
    assert done.history["sparsity"].nunique() == 1
    assert {name: int(zero.sum()) for name, zero in removed(done.weights).items()} == REMOVED
    assert ticket(done) != ticket(tiny_runs["gmp"])


@pytest.mark.slow
def test_early_bird_draws_by_magnitude_before_the_second_of_two_epochs(tmp_path, tiny_runs):
    done = tiny_runs["early_bird"]
    assert done.history["sparsity"].iloc[0] == 0 < done.history["sparsity"].iloc[1]
    half = train(tiny("dense", tmp_path / "half", epochs="8it", lr_values="0.1")).weights
    model = network()
    for name, variable in masking.named_weights(model).items():
        variable.assign(half[name])
    assert ticket(done) == dlth_tf.magnitude_ticket(model, 0.9) != dlth_tf.magnitude_ticket(network(), 0.9)


@pytest.mark.slow
def test_all_of_them_see_the_same_images_in_the_same_order(tiny_runs):
    by_phase = {"train": ("gmp", "ste", "early_bird"), "finetune": ("set", "rigl", "snip", "grasp")}
    for phase, methods in by_phase.items():
        batches = [tiny_runs[method].watched.batches[phase] for method in methods]
        assert all(one == other for one, other in itertools.pairwise(batches)) and len(set(batches[0])) == 16


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rigl", "set", "gmp", "ste", "early_bird"])
def test_the_length_of_an_execution_changes_no_bit(method, tmp_path, tiny_runs):
    done = train(tiny(method, tmp_path / "run", steps_per_execution=3))
    assert done.result["weights_sha256"] == tiny_runs[method].result["weights_sha256"]
    assert done.config.steps_per_execution != tiny_runs[method].config.steps_per_execution


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rigl", "gmp", "ste", "early_bird"])
def test_whole_filters_come_and_go(method, tmp_path):
    done = train(tiny(method, tmp_path / "run", granularity="filter", sparsity=0.5, epochs="6it"))
    for name, mask in ticket(done).items():
        assert (mask.all(0) | ~mask.any(0)).all() and mask.any(0).sum() == mask.shape[1] // 2
        assert np.array_equal(done.weights[name] != 0, mask) or name == "fc1/kernel"  # pixels that are always 0
