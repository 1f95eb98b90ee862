"""What the methods of one training do to the network, read off watched runs."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dlth_tf
from dlth_tf import data as data_room
from dlth_tf import masking, models, scores
from dlth_tf.core import PruningSpec, Ticket, removed_count
from dlth_tf.methods.actions import draw_by_synflow
from dlth_tf.runs.inputs import Inputs
from tests.methods.test_methods import PRUNED, initial, same, ticket
from tests.runs.tiny import data_dir, tiny, train


def slow(method: str) -> Any:
    """`make test` has one run of a kind; `make test-slow` has them all."""
    return pytest.param(method, marks=pytest.mark.slow)


REMOVED = {"fc1/kernel": removed_count(64 * 30, 0.9), "fc2/kernel": removed_count(300, 0.9)}


def network() -> Any:
    """The wrapped network that every tiny run starts from."""
    return masking.wrap(models.build("lenet_300_100", (8, 8, 1), 10, 0, {"width": 0.1}))


def samples(seed: int = 0) -> Inputs:
    data = data_room.load("digits", data_dir())
    return Inputs(data, data_room.normalization(data, None), seed, "none", "float32")


def removed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: weights[name] == 0 for name in PRUNED}


GLOBAL = PruningSpec.parse(0.9, "global")


# chosen before training --------------------------------------------------------------------------------------------


def chosen_by(method: str, seed: int = 0) -> Ticket:
    """The ticket drawn anew from the initial weights and the seed's sample."""
    model = network()

    def score(entries: dict[str, masking.PrunableWeight]) -> dict[str, np.ndarray]:
        weights = {name: entry.weight for name, entry in entries.items()}
        if method == "snip":
            return scores.snip(model, weights, *samples(seed).batch("snip", 128))
        return scores.grasp(model, weights, samples(seed).balanced("grasp", 10, 128))

    return masking.draw_ticket(model, GLOBAL, score, method)


@pytest.mark.parametrize("method", ["grasp", slow("snip")])
def test_the_ticket_is_that_of_the_initial_weights_and_the_seeds_sample(method, tiny_runs):
    done = tiny_runs[method]
    assert ticket(done) == chosen_by(method) != chosen_by(method, seed=1)
    before = done.watched.before["finetune"]
    assert all(
        np.array_equal(before[name], np.where(ticket(done).get(name, True), value, 0))
        for name, value in initial().items()
    )


def test_synflow_keeps_the_same_share_in_each_of_its_hundred_rounds(monkeypatch):
    kept, score = [], scores.SynapticFlow.score

    def noted(self: Any, masks: Any) -> dict[str, np.ndarray]:
        kept.append(sum(int(mask.sum()) for mask in masks.values()) / 2220 if masks else 1.0)
        return score(self, masks)

    monkeypatch.setattr(scores.SynapticFlow, "score", noted)
    drawn = SimpleNamespace(
        model=network(), recipe=SimpleNamespace(spec=GLOBAL), inputs=SimpleNamespace(image_shape=(8, 8, 1))
    )
    draw_by_synflow(drawn)
    assert [round(kept[number], 3) for number in (1, 10, 25, 50, 75)] == [0.977, 0.794, 0.562, 0.316, 0.177] and len(
        kept
    ) == 100
    found = masking.chosen_ticket(drawn.model)
    assert found.removed == removed_count(2220, 0.9)
    scorer = scores.SynapticFlow(
        network_ := network(), {n: e.weight for n, e in masking.prunable_weights(network_).items()}, (8, 8, 1)
    )
    once = masking.draw_ticket(network_, GLOBAL, lambda entries: {n: scorer.score({})[n] for n in entries}, "synflow")
    assert found != once, "the twin: one round would choose others"


# changed while training --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["rigl", slow("set")])
def test_set_and_rigl_start_from_the_random_ticket_and_exchange_as_many(method, tiny_runs):
    done, model = tiny_runs[method], network()
    start = dlth_tf.random_ticket(model, 0.9, 0)
    assert all(np.array_equal(zero, ~start[name]) for name, zero in removed(done.watched.before["finetune"]).items())
    assert ticket(done) != start and {name: int((~mask).sum()) for name, mask in ticket(done).items()} == REMOVED
    assert done.history["sparsity"].nunique() == 1
    returned = [np.count_nonzero(ticket(done)[name] & ~start[name]) for name in PRUNED]
    assert all(0 < count < 0.9 * start[name].sum() for count, name in zip(returned, PRUNED, strict=True)), (
        "most places stay"
    )


@pytest.mark.slow
def test_set_and_rigl_grow_others(tiny_runs):
    assert ticket(tiny_runs["set"]) != ticket(tiny_runs["rigl"])


def test_gmp_prunes_a_dense_network_step_by_step_to_the_exact_count(tmp_path):
    done = train(tiny("gmp", tmp_path / "run", epochs=5))
    assert same(done.watched.before["train"], initial())
    found = done.history["sparsity"].tolist()
    assert (
        found[0] == 0 < found[1] < found[2] == found[3] == found[4]
        and {name: int(zero.sum()) for name, zero in removed(done.weights).items()} == REMOVED
    )
    by_hand = 1 - (1 - (16 - 10) / (20 - 10)) ** 3  # after the 16 steps of two epochs, between a quarter and half of 40
    total = 64 * 30 + 300 + 100
    assert found[1] * total == sum(removed_count(size, 0.9 * by_hand) for size in (1920, 300))


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
