"""Runs that do not belong in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.analysis.results import read_results
from dlth_tf.errors import BadInput
from tests.analysis.conftest import WriteSweep, run_name, seeds

RUNS = [*seeds("rst", 0.98, 0.9, 0.91, 0.92), *seeds("lth", 0.98, 0.9, 0.91)]


def change(root: Path, run: tuple[str, float, int], **flags: Any) -> None:
    path = root / run_name(*run) / "config.json"
    document = json.loads(path.read_text())
    document["config"] |= flags
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"lr": 0.2}, r"lr is 0\.1 in rst-0\.98-s0 and 0\.2 in rst-0\.98-s2"),
        ({"augment": "crop_flip"}, "augment is None in rst-0.98-s0 and crop_flip in rst-0.98-s2"),
        ({"seed": 7, "lr": "0.1"}, r"lr is 0\.1 in"),  # a text is no number
    ],
)
def test_seeds_of_one_method_by_different_recipes_are_refused(write_sweep: WriteSweep, flags: dict, words: str) -> None:
    root = write_sweep(RUNS, configs=True)
    change(root, ("rst", 0.98, 2), **flags)
    with pytest.raises(BadInput, match=rf"contains runs of rst at sparsity 0.98 by different recipes \({words}"):
        read_results(root)


@pytest.mark.parametrize("flags", [{"seed": 5}, {"data_dir": "/elsewhere"}, {"verbosity": 0, "run_dir": "moved"}])
def test_seeds_and_places_may_differ(write_sweep: WriteSweep, flags: dict) -> None:
    root = write_sweep(RUNS, configs=True)
    change(root, ("rst", 0.98, 2), **flags)
    assert len(read_results(root)) == len(RUNS)


def test_methods_may_have_recipes_of_their_own(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, configs=True)
    for seed in (0, 1):
        change(root, ("lth", 0.98, seed), lr=0.5)
    assert len(read_results(root)) == len(RUNS)


def test_what_a_run_does_not_record_is_not_compared(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, configs=True)
    change(root, ("rst", 0.98, 1), of_a_later_version=3)
    (root / "rst-0.98-s0" / "config.json").unlink()
    (root / "lth-0.98-s0" / "config.json").write_text('{"config": []}')
    assert len(read_results(root)) == len(RUNS)
    change(root, ("rst", 0.98, 1), lr=0.3)
    with pytest.raises(BadInput, match=r"lr is 0\.3 in rst-0\.98-s1 and 0\.1 in rst-0\.98-s2"):
        read_results(root)


def record_data(root: Path, run: tuple[str, float, int], data: Any) -> None:
    path = root / run_name(*run) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": data}))


def test_runs_on_other_examples_of_the_same_name_are_refused(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, configs=True)
    for run in RUNS:
        record_data(root, run[:3], {"sha256": "ab" * 32})
    record_data(root, ("rst", 0.98, 1), {})  # of an older version
    assert len(read_results(root)) == len(RUNS)
    record_data(root, ("lth", 0.98, 1), {"sha256": "cd" * 32})
    with pytest.raises(BadInput, match=r"contains runs on other examples of digits \(.*lth-0\.98-s1.*the same data"):
        read_results(root)


def test_runs_collected_by_links_count_as_directories_of_their_own_names(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    root = write_sweep(RUNS, configs=True)
    links = tmp_path / "links"
    links.mkdir()
    for number, (*run, _) in enumerate(RUNS):
        target = (root / run_name(*run)).rename(tmp_path / f"run{number}")
        (links / run_name(*run)).symlink_to(target)
    assert set(read_results(links)["run_dir"]) == {run_name(*run) for *run, _ in RUNS}
    change(links, ("rst", 0.98, 2), lr=9.0)
    with pytest.raises(BadInput, match=r"different recipes \(lr is 0\.1 in rst-0\.98-s0 and 9\.0 in rst-0\.98-s2"):
        read_results(links)
