"""Gives the shared tiny runs their place; see tiny.py."""

from __future__ import annotations

import gc

import pytest

from tests.runs import tiny


@pytest.fixture(scope="session", autouse=True)
def place_for_the_shared_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    tiny.keep_in(tmp_path_factory.mktemp("tiny"))
    gc.freeze()  # every run ends with a full collection; this way it looks at that run's objects and not at all of TensorFlow
