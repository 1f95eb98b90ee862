"""Freezes the garbage collector before the first run, also for tests that do not use `tiny_runs`; captures the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.runs.tiny import TinyRuns


@pytest.fixture(scope="session", autouse=True)
def frozen(tiny_runs: TinyRuns) -> None:
    """Requests the fixture that freezes; nothing is trained here."""


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log of the package from INFO on."""
    logger = logging.getLogger("dlth_tf")
    before, logger.propagate = logger.propagate, True
    caplog.set_level(logging.INFO, logger="dlth_tf")
    yield caplog
    logger.propagate = before
