"""Runs that start from trained weights: --init_weights through the runner."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.runs.weights import load_initial_weights
from tests.runs.test_weights import network, weights, write
from tests.runs.tiny import tiny, train

SHORT = {"epochs": "2it", "round_epochs": "1it", "penalty_step": 0.9, "hold_steps": 0, "batch_size": 64}
SLOW = ("l1_iter", "rst", "rst_iter")  # they start like l1
FIRST = {"l1": "finetune", "l1_iter": "finetune_1", "rst": "transform", "rst_iter": "transform_1"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> str:
    return write(weights(network(5)), tmp_path_factory.mktemp("trained") / "weights.npz")


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FIRST]
)
def test_a_run_starts_from_the_weights_and_trains_no_dense_network_first(method, trained, tmp_path):
    done = train(tiny(method, tmp_path / "run", init_weights=trained, **SHORT))
    assert next(iter(done.watched.before)) == FIRST[method] and "train" not in done.watched.before
    start, given = done.watched.before[FIRST[method]], weights(network(5))
    for name, value in given.items():
        removed = (
            start[name] == 0
            if name in ("fc1/kernel", "fc2/kernel") and method.startswith("l1")
            else np.zeros(value.shape, bool)
        )
        assert np.array_equal(start[name], np.where(removed, 0, value))
    if method == "l1":
        for name, mask in Ticket.load(done.directory.ticket).items():
            assert np.abs(given[name])[mask].min() >= np.abs(given[name])[~mask].max()


@pytest.mark.fast_cases("text")
@pytest.mark.parametrize("case", ["none", "text", "other"])
def test_a_run_that_is_refused_writes_nothing(case, tmp_path):
    path = tmp_path / f"{case}.npz"
    if case == "text":
        path.write_text("years of work")
    if case == "other":
        write(weights(network(width=0.2)), path)
    with pytest.raises(BadInput, match="init_weights"):
        train(tiny("rst", tmp_path / "run", init_weights=str(path), **SHORT))
    assert not (tmp_path / "run").exists()


def test_methods_that_start_afresh_take_no_weights(trained, tmp_path):
    with pytest.raises(
        BadInput,
        match="cannot be combined with lth, which starts from new weights; only rst, rst_iter, l1, l1_iter accept",
    ):
        tiny("lth", tmp_path, init_weights=trained)


@pytest.mark.slow
def test_weights_of_a_finished_run_are_such_a_file(tmp_path, tiny_runs):
    done = tiny_runs["dense"]
    load_initial_weights(model := network(), str(done.directory.weights))
    assert all(np.array_equal(value, done.weights[name]) for name, value in weights(model).items())
