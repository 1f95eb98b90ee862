"""What every method does to the network, read off watched runs: rewinding, shared data, the same ticket."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dlth_tf import models
from dlth_tf.core import Ticket
from dlth_tf.masking import named_weights
from dlth_tf.methods import METHODS, Method
from tests.runs.tiny import Finished, environment, tiny, train

SPARSE = ("scratch", "lth", "rst")
PRUNED = ("fc1/kernel", "fc2/kernel")


def initial() -> dict[str, np.ndarray]:
    """The weights that every tiny run starts from."""
    return {
        name: weight.numpy()
        for name, weight in named_weights(models.build("lenet_300_100", (8, 8, 1), 10, 0, {"width": 0.1})).items()
    }


def ticket(done: Finished) -> Ticket:
    return Ticket.load(done.directory.ticket)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_knows_its_name_and_its_paper(name):
    method = METHODS.load(name)
    assert isinstance(method, Method) and method.name == name and method.reference
    assert method.needs_sparsity == (name != "dense")


def test_methods_are_listed_without_tensorflow():
    code = "import sys; from dlth_tf.methods import METHODS; [METHODS.load(n) for n in METHODS.names()]; print('tensorflow' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_starts_from_the_same_initial_weights(name, tiny_runs):
    watched = tiny_runs[name].watched
    first = watched.before[next(iter(watched.before))]
    if METHODS.load(name).narrows:
        assert first["fc1/kernel"].shape[1] < initial()["fc1/kernel"].shape[1]
        return
    if tiny_runs[name].history["sparsity"].iloc[0] and name != "gmp":  # the first phase begins with something removed
        if name in ("set", "rigl"):  # whose ticket has changed since
            first = {key: np.where(first[key] == 0, initial()[key], first[key]) for key in first}
        first = {
            key: np.where(ticket(tiny_runs[name])[key], first[key], initial()[key]) if key in PRUNED else first[key]
            for key in first
        }
    assert same(first, initial())


def test_lth_rewinds_bit_for_bit(tiny_runs):
    done, start = tiny_runs["lth"], initial()
    rewound = done.watched.before["finetune"]
    for name, weight in rewound.items():
        mask = ticket(done).get(name, np.ones(weight.shape, bool))
        assert np.array_equal(weight[mask], start[name][mask])
        assert not weight[~mask].any() and not np.signbit(weight[~mask]).any()
    assert not same(done.watched.after["train"], rewound)


def test_lth_keeps_the_largest_trained_magnitudes_of_every_layer(tiny_runs):
    done = tiny_runs["lth"]
    for name in PRUNED:
        size, mask = np.abs(done.watched.after["train"][name]), ticket(done)[name]
        assert size[mask].min() >= size[~mask].max()
        assert not size[ticket(tiny_runs["rst"])[name]].min() >= size[~ticket(tiny_runs["rst"])[name]].max()


def test_rst_and_scratch_draw_the_same_random_ticket(tiny_runs):
    assert ticket(tiny_runs["rst"]) == ticket(tiny_runs["scratch"]) != ticket(tiny_runs["lth"])


def test_rst_squeezes_the_weights_that_go_and_keeps_the_others_as_transformed(tiny_runs):
    done = tiny_runs["rst"]
    before, after, start = (
        done.watched.before["transform"],
        done.watched.after["transform"],
        done.watched.before["finetune"],
    )
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
        found = tiny_runs[name].result["test"]
        assert found["accuracy_before_removal"] is not None and found["accuracy_after_removal"] is not None
    history, found = tiny_runs["rst"].history, tiny_runs["rst"].result["test"]
    assert found["accuracy_before_removal"] == history[history["phase"] == "transform"]["test_accuracy"].iloc[-1]
    assert tiny_runs["dense"].result["test"]["accuracy_before_removal"] is None


def test_magnitude_instead_of_random_removes_the_smallest_initial_weights(tmp_path, tiny_runs):
    done = train(tiny("scratch", tmp_path / "run", ticket_pick="magnitude", epochs="1it"))
    for name in PRUNED:
        size, mask = np.abs(initial()[name]), ticket(done)[name]
        assert size[mask].min() >= size[~mask].max()
    assert ticket(done) != ticket(tiny_runs["scratch"])
