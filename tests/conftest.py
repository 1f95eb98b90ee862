"""Fixtures for tests of several folders."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runs.tiny import TinyRuns


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    """The smallest complete run of every method, trained when a test first asks for it."""
    from tests.runs.tiny import TinyRuns  # here, since it imports TensorFlow, which most folders do not need

    # Every run ends with a full garbage collection; frozen, the objects of TensorFlow are not part of it.
    gc.freeze()
    return TinyRuns(tmp_path_factory.mktemp("tiny"))
