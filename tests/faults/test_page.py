"""Everything that docs/reliability.md names exists."""

from __future__ import annotations

import dataclasses
import re

import pytest

from dlth_tf.runs.config import RunConfig
from tests.runs.tiny import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()


def flags(text: str) -> set[str]:
    return set(re.findall(r"--(\w+)", text))


def test_every_flag_is_one_of_train_and_every_default_is_its_own():
    fields = {item.name: item.default for item in dataclasses.fields(RunConfig)}
    assert flags(PAGE) - {"flagfile"} <= set(fields)
    for name, default in re.findall(r"^\| `--(\w+)` \| `(\w+)` \|", PAGE, re.M):
        assert fields[name] == default
    assert {"checkpoint_every", "resume", "on_nan", "deterministic"} <= flags(PAGE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:tests|benchmarks|flags)/[\w/]+\.\w+", PAGE))))
def test_every_file_is_there(path):
    assert (ROOT / path).is_file()


def test_every_make_target_is_there():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"`make ([\w-]+)`", PAGE)) <= set(targets)
