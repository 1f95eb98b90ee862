"""Effects of every method on the network, observed in watched runs: rewinding, shared data, the same ticket."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dlth_tf.methods import METHODS, Method
from tests.methods.tiny_network import PRUNED, initial, same, ticket
from tests.runs.tiny import FAST, Finished, environment, tiny, train

SPARSE = ("scratch", "lth", "rst")


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_knows_its_name_and_its_paper(name):
    method = METHODS.load(name)
    assert isinstance(method, Method) and method.name == name and method.reference
    assert method.needs_sparsity == (name != "dense")


def test_methods_are_listed_without_tensorflow():
    code = """
import sys
from dlth_tf.methods import METHODS
for name in METHODS.names():
    METHODS.load(name)
print("tensorflow" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def starts_whole(first: dict[str, np.ndarray], done: Finished) -> None:
    assert same(first, initial())


def starts_with_its_ticket(first: dict[str, np.ndarray], done: Finished) -> None:
    kept = ticket(done)
    assert same(first, {name: np.where(kept.get(name, True), weight, 0) for name, weight in initial().items()})


def starts_with_some_ticket(first: dict[str, np.ndarray], done: Finished) -> None:
    kept = {name: first[name] != 0 for name in PRUNED}
    assert same(first, {name: np.where(kept.get(name, True), weight, 0) for name, weight in initial().items()})


def starts_narrower(first: dict[str, np.ndarray], done: Finished) -> None:
    assert first["fc1/kernel"].shape[1] < initial()["fc1/kernel"].shape[1]


# Method -> check of the weights before its first step.
STARTS = {
    "dense": starts_whole,
    "early_bird": starts_whole,
    "gmp": starts_whole,
    "grasp": starts_with_its_ticket,
    "l1": starts_whole,
    "l1_iter": starts_whole,
    "lth": starts_whole,
    "lth_iter": starts_whole,
    "lth_long": starts_whole,
    "rigl": starts_with_some_ticket,  # whose mask changes during training
    "rst": starts_whole,
    "rst_iter": starts_whole,
    "scratch": starts_with_its_ticket,
    "scratch_long": starts_with_its_ticket,
    "set": starts_with_some_ticket,
    "small_dense": starts_narrower,
    "snip": starts_with_its_ticket,
    "ste": starts_whole,
    "synflow": starts_with_its_ticket,
}
OTHER = starts_with_some_ticket  # for methods that are not in the table: each weight is the initial one, or removed


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in METHODS.names()]
)
def test_every_method_starts_from_the_same_initial_weights(name, tiny_runs):
    done = tiny_runs[name]
    first = next(iter(done.watched.before.values()))
    STARTS.get(name, OTHER)(first, done)


def test_the_table_of_starts_lists_registered_methods():
    assert set(STARTS) <= set(METHODS.names())


def test_lth_rewinds_bit_for_bit(tiny_runs):
    done = tiny_runs["lth"]
    start = initial()
    rewound = done.watched.before["finetune"]
    for name, weight in rewound.items():
        mask = ticket(done).get(name, np.ones(weight.shape, bool))
        assert np.array_equal(weight[mask], start[name][mask])
        assert not weight[~mask].any() and not np.signbit(weight[~mask]).any()
    assert not same(done.watched.after["train"], rewound)


def test_lth_keeps_the_largest_trained_magnitudes_of_every_layer(tiny_runs):
    done = tiny_runs["lth"]
    for name in PRUNED:
        size = np.abs(done.watched.after["train"][name])
        mask = ticket(done)[name]
        assert size[mask].min() >= size[~mask].max()
        assert not size[ticket(tiny_runs["rst"])[name]].min() >= size[~ticket(tiny_runs["rst"])[name]].max()


def test_rst_and_scratch_draw_the_same_random_ticket(tiny_runs):
    assert ticket(tiny_runs["rst"]) == ticket(tiny_runs["scratch"]) != ticket(tiny_runs["lth"])


def test_rst_squeezes_the_weights_that_go_and_keeps_the_others_as_transformed(tiny_runs):
    done = tiny_runs["rst"]
    before = done.watched.before["transform"]
    after = done.watched.after["transform"]
    start = done.watched.before["finetune"]
    for name in PRUNED:
        mask = ticket(done)[name]
        assert after[name][~mask].all()  # nothing is removed while it is transformed
        assert np.abs(after[name][~mask]).mean() < 0.99 * np.abs(before[name][~mask]).mean()
        assert np.abs(after[name][mask]).mean() == pytest.approx(np.abs(before[name][mask]).mean(), rel=0.01)
        assert np.array_equal(start[name], np.where(mask, after[name], 0))
    assert all(np.array_equal(start[name], after[name]) for name in start if name not in PRUNED)


def test_scratch_starts_from_the_kept_initial_weights(tiny_runs):
    done = tiny_runs["scratch"]
    for name, weight in done.watched.before["finetune"].items():
        assert np.array_equal(weight, np.where(ticket(done).get(name, True), initial()[name], 0))


def test_finetuning_sees_the_same_batches_in_every_method(tiny_runs):
    batches = [tiny_runs[name].watched.batches["finetune"] for name in SPARSE]
    assert batches[0] == batches[1] == batches[2] and len(set(batches[0])) == 16


def test_training_and_finetuning_see_different_batches(tiny_runs):
    assert not set(tiny_runs["lth"].watched.batches["train"]) & set(tiny_runs["lth"].watched.batches["finetune"])


def test_dense_and_lth_train_the_same_dense_network(tiny_runs):
    dense, lth = tiny_runs["dense"], tiny_runs["lth"]
    assert dense.watched.batches["train"] == lth.watched.batches["train"]
    assert same(dense.watched.after["train"], lth.watched.after["train"])
    assert same(dense.watched.after["train"], dense.weights) and not same(lth.watched.after["train"], lth.weights)


def test_accuracy_around_the_removal_is_noted(tiny_runs):
    for name in SPARSE:
        test = tiny_runs[name].result["test"]
        assert test["accuracy_before_removal"] is not None and test["accuracy_after_removal"] is not None
    history = tiny_runs["rst"].history
    test = tiny_runs["rst"].result["test"]
    assert test["accuracy_before_removal"] == history[history["phase"] == "transform"]["test_accuracy"].iloc[-1]
    assert tiny_runs["dense"].result["test"]["accuracy_before_removal"] is None


def test_magnitude_instead_of_random_removes_the_smallest_initial_weights(tmp_path, tiny_runs):
    done = train(tiny("scratch", tmp_path / "run", ticket_pick="magnitude", epochs="1it"))
    for name in PRUNED:
        size = np.abs(initial()[name])
        mask = ticket(done)[name]
        assert size[mask].min() >= size[~mask].max()
    assert ticket(done) != ticket(tiny_runs["scratch"])
