"""Fixtures for tests of several folders, and the folder that the worker processes of a session share."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlth_tf.onednn import turn_on_onednn

if TYPE_CHECKING:
    from tests.runs.tiny import TinyRuns

# Name of the environment variable that gives the workers, and processes that tests start, the folder.
SESSION_FOLDER = "DLTH_TEST_SESSION_FOLDER"


def pytest_configure(config: pytest.Config) -> None:
    """Turns oneDNN on as the commands do; creates the folder of the session in the process that starts the workers."""
    turn_on_onednn()
    if not hasattr(config, "workerinput"):
        os.environ[SESSION_FOLDER] = tempfile.mkdtemp(prefix="dlth_tf-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Deletes the folder of the session once all workers have ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(SESSION_FOLDER), ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_runs() -> Iterator[TinyRuns]:
    """The smallest complete run of every method, trained when a test of any worker first asks for it."""
    from tests.runs import tiny  # here, since it imports TensorFlow, which most folders do not need

    # Every run ends with a full garbage collection; frozen, the objects of TensorFlow are not part of it.
    gc.freeze()
    with tiny.digits_read_once():
        yield tiny.TinyRuns(Path(os.environ[SESSION_FOLDER]) / "runs")
