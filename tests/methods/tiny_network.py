"""The network of the tiny runs: its initial weights, and the tickets of finished runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlth_tf import masking, models
from dlth_tf.core import Ticket, removed_count
from tests.runs.tiny import Finished

PRUNED = ("fc1/kernel", "fc2/kernel")
REMOVED = {"fc1/kernel": removed_count(64 * 30, 0.9), "fc2/kernel": removed_count(300, 0.9)}


def network() -> Any:
    """Returns the wrapped network that every tiny run starts from."""
    return masking.wrap(_built())


def initial() -> dict[str, np.ndarray]:
    """Returns the weights that every tiny run starts from."""
    return masking.weight_arrays(_built())


def _built() -> Any:
    return models.build("lenet_300_100", (8, 8, 1), 10, 0, {"width": 0.1})


def ticket(done: Finished) -> Ticket:
    """Returns the ticket in a run directory."""
    return Ticket.load(done.directory.ticket)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Returns whether all arrays are equal."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def slow(method: str) -> Any:
    """Marks a method whose run only `make test-slow` needs; `make test` has one run of each kind."""
    return pytest.param(method, marks=pytest.mark.slow)
