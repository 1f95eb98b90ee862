"""Freezes the garbage collector before the first run, also where a test does not use `tiny_runs` itself."""

from __future__ import annotations

import pytest

from tests.runs.tiny import TinyRuns


@pytest.fixture(scope="session", autouse=True)
def frozen(tiny_runs: TinyRuns) -> None:
    """Requests the fixture that freezes; nothing is trained here."""
