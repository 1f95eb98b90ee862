"""Fixtures for tests of several folders, and the folder that the worker processes of a session share."""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
import sys
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
    """Turns oneDNN on as the commands do; creates the folder of the session in the process that starts the workers.

    GPUs are hidden unless `-m gpu` asks for their tests, since most others compare bits, which a GPU does not repeat.
    CUDA_VISIBLE_DEVICES, where it is set, decides otherwise.
    """
    turn_on_onednn()
    if not selects_gpus(config.option.markexpr):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    if not hasattr(config, "workerinput"):
        os.environ[SESSION_FOLDER] = tempfile.mkdtemp(prefix="dlth_tf-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Deletes the folder of the session once all workers have ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(SESSION_FOLDER), ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Distributes the cases of a test over `make test`, `make test-slow` and `make test-faults`.

    `fast_cases(*ids)` makes all other cases slow. `faults_cases(*ids)` marks these cases `faults` instead of `slow`,
    and `slow_cases(*ids)` all slow ones but these. An id may end in *.
    """
    named: set[tuple[str, str]] = set()
    found: set[tuple[str, str]] = set()
    for item in items:
        function, _, case = item.nodeid.partition("[")
        for marker in [
            mark for name in ("fast_cases", "slow_cases", "faults_cases") for mark in item.iter_markers(name)
        ]:
            matching = {pattern for pattern in marker.args if case_matches(case[:-1], pattern)}
            named |= {(function, pattern) for pattern in marker.args}
            found |= {(function, pattern) for pattern in matching}
            elsewhere = marker.name == "slow_cases" and not matching and item.get_closest_marker("slow")
            if elsewhere or (marker.name == "faults_cases" and matching):
                item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "slow"]
                item.add_marker("faults")
            elif marker.name == "fast_cases" and not matching and not item.get_closest_marker("faults"):
                item.add_marker("slow")
    missing = sorted(named - found)
    if missing and not any("[" in word for word in config.args):
        raise pytest.UsageError(f"these ids match no case: {missing}")


def selects_gpus(expression: str) -> bool:
    """Returns whether an expression of marks, as given to `-m`, asks for the tests that need a GPU."""
    return "gpu" in re.findall(r"\w+", re.sub(r"\bnot\s+gpu\b", "", expression))


def case_matches(case: str, pattern: str) -> bool:
    """Returns whether the id of a case is `pattern`, or begins with what stands before its final *."""
    return case.startswith(pattern[:-1]) if pattern.endswith("*") else case == pattern


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect() -> None:
    """Takes what is alive out of the garbage collection, which else walks through all of TensorFlow again and again.

    What a module leaves behind is collected before the next one begins. Every run ends with a full collection.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def precision_is_restored() -> Iterator[None]:
    """Gives tf_keras and Keras 3 their defaults back after every test, where they are imported.

    A policy that is set to float32, as opposed to none, no longer follows floatx: later tests in float64 would fail.
    """
    yield
    if tf_keras := sys.modules.get("tf_keras"):
        tf_keras.backend.set_floatx("float32")
        tf_keras.mixed_precision.set_global_policy(None)
    if keras := sys.modules.get("keras"):
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def log_is_restored() -> Iterator[None]:
    """Takes back what a command that a test calls directly has set up of the package's log."""
    logger = logging.getLogger("dlth_tf")
    level, propagate = logger.level, logger.propagate
    yield
    logger.setLevel(level)
    logger.propagate = propagate
    logger.handlers[:] = [each for each in logger.handlers if type(each).__module__.partition(".")[0] != "dlth_tf"]


@pytest.fixture(scope="session")
def tiny_runs() -> Iterator[TinyRuns]:
    """The smallest complete run of every method, trained when a test of any worker first asks for it."""
    from tests.runs import tiny  # here, since it imports TensorFlow, which most folders do not need

    with tiny.digits_read_once():
        yield tiny.TinyRuns(Path(os.environ[SESSION_FOLDER]) / "runs")
