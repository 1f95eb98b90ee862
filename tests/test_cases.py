"""Markers that distribute the cases of a test over the fast tests, the slow ones and those of faults."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import pytest_collection_modifyitems, selects_gpus

CONFIG: Any = SimpleNamespace(args=["tests"])


class Item:
    """A collected case with markers."""

    def __init__(self, case: str, *marks: pytest.MarkDecorator) -> None:
        self.nodeid = f"tests/test_a.py::test_a[{case}]"
        self.own_markers = [decorator.mark for decorator in marks]

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        return [mark for mark in self.own_markers if mark.name == name]

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next(iter(self.iter_markers(name)), None)

    def add_marker(self, name: str) -> None:
        self.own_markers.append(getattr(pytest.mark, name).mark)


def suites(*items: Any) -> list[list[str]]:
    pytest_collection_modifyitems(CONFIG, list(items))
    return [[mark.name for mark in item.own_markers if mark.name in ("slow", "faults")] for item in items]


def test_all_cases_but_the_fast_ones_are_slow_and_those_of_faults_stay_there():
    fast = pytest.mark.fast_cases("a", "b*")
    items = [*(Item(case, fast) for case in ("a", "b1", "ab")), Item("c", fast, pytest.mark.faults)]
    assert suites(*items) == [[], [], ["slow"], ["faults"]]


def test_slow_cases_are_moved_to_those_of_faults():
    faults = pytest.mark.faults_cases("a*")
    assert suites(*(Item(case, faults, pytest.mark.slow) for case in ("a-1", "b"))) == [["faults"], ["slow"]]


def test_all_slow_cases_but_those_that_stay_are_moved_and_fast_ones_are_not():
    fast, slow = pytest.mark.fast_cases("a"), pytest.mark.slow_cases("b*")
    assert suites(*(Item(case, slow, fast) for case in ("a", "b1", "c"))) == [[], ["slow"], ["faults"]]
    assert suites(*(Item(case, slow, pytest.mark.slow) for case in ("b", "c"))) == [["slow"], ["faults"]]


@pytest.mark.parametrize("name", ["fast_cases", "slow_cases", "faults_cases"])
def test_an_id_that_matches_no_case_is_an_error(name):
    with pytest.raises(pytest.UsageError, match=r"these ids match no case: .*'c'"):
        suites(Item("a", getattr(pytest.mark, name)("a", "c")))


def test_gpus_are_seen_only_by_tests_that_ask_for_them():
    assert all(map(selects_gpus, ("gpu", "gpu and not slow", "slow or gpu")))
    assert not any(map(selects_gpus, ("", "not slow and not faults", "not gpu", "slow and not gpu")))
