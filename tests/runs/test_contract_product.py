"""Every method with every kind of granularity and allocation: the requested sparsity, to the weight."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.core import PruningSpec, Ticket, kept_groups
from dlth_tf.methods import METHODS
from tests.runs.test_contract import PRUNED, SHAPES, removes
from tests.runs.tiny import tiny, train


@pytest.mark.slow_cases(
    "rst-uniform-filter",
    "rst_iter-erk-weight",
    "lth-erk-weight",
    "l1_iter-uniform-filter",
    "small_dense-uniform-filter",
    "early_bird-uniform-filter",
    "synflow-erk-weight",
    "gmp-erk-weight",
    "rigl-uniform-filter",
    "ste-erk-weight",
)
@pytest.mark.parametrize(
    ("allocation", "granularity"),
    [
        pytest.param("uniform", "filter", marks=pytest.mark.slow),
        pytest.param("erk", "weight", marks=pytest.mark.slow),
        pytest.param("uniform", "weight", marks=pytest.mark.faults),
        pytest.param("erk", "filter", marks=pytest.mark.faults),
    ],
)
@pytest.mark.parametrize("method", METHODS.names())
def test_sparsity_is_exact_for_every_granularity_and_allocation(method, allocation, granularity, tmp_path):
    done = train(tiny(method, tmp_path / "run", epochs=1, granularity=granularity, allocation=allocation, sparsity=0.7))
    shapes = {name: SHAPES[name] for name in PRUNED} if removes(method) else {}
    kept = kept_groups(shapes, PruningSpec.parse(0.7, allocation, granularity)) if shapes else {}
    ticket = Ticket.load(done.directory.ticket)
    assert set(ticket) == {
        name
        for name, count in kept.items()
        if count < (shapes[name][1] if granularity == "filter" else np.prod(shapes[name]))
    }
    for name, mask in ticket.items():
        assert int(mask.sum()) == kept[name] * (mask.shape[0] if granularity == "filter" else 1)
        assert granularity == "weight" or (mask.all(0) | ~mask.any(0)).all()
        assert not done.weights[name][~mask].any()
