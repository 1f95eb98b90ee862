"""Settings of the runs of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlth_tf.analysis.settings import Settings, read_settings
from dlth_tf.errors import BadInput
from tests.analysis.conftest import make_config, seeds

RUNS = [run[:3] for run in (*seeds("rst", 0.9, 0, 0), *seeds("lth", 0.9, 0))]


def write(root: Path, *documents: object) -> Settings:
    names = [f"run{number}" for number in range(len(documents))]
    for name, document in zip(names, documents, strict=True):
        (root / name).mkdir()
        if document is not None:
            (root / name / "config.json").write_text(json.dumps(document))
    return read_settings(root, names)


def test_what_all_runs_share_stands_apart_from_what_differs(tmp_path: Path) -> None:
    settings = write(tmp_path, *map(make_config, RUNS))
    assert settings.shared == {"sparsity": "0.9", "lr": "0.1", "augment": "null"}
    assert settings.differing["method"] == "rst, lth" and settings.differing["seed"] == "0, 1"
    assert settings.versions == {"python": "3.11.7", "numpy": "2.4.6"} and settings.commits == ("c0ffee",)


def test_the_command_is_one_that_can_be_typed(tmp_path: Path) -> None:
    assert write(tmp_path, make_config(RUNS[0])).commands == (
        "python -m dlth_tf.sweep --methods=rst,lth '--model_args={}'",
    )


def test_the_size_of_the_test_set_is_known_only_if_all_runs_say_the_same(tmp_path: Path) -> None:
    for name, documents, images in (
        ("same", [make_config(RUNS[0]), make_config(RUNS[1])], 500),
        ("different", [make_config(RUNS[0]), make_config(RUNS[1], 400)], None),
        ("one silent", [make_config(RUNS[0]), None], None),
        ("nonsense", [make_config(RUNS[0], -1)], None),
        ("more than there can be", [make_config(RUNS[0], 2**63)], None),
    ):
        (tmp_path / name).mkdir()
        assert write(tmp_path / name, *documents).test_images == images, name


def test_the_number_of_classes_is_known_only_if_all_runs_say_the_same(tmp_path: Path) -> None:
    fewer, silent, nonsense = (make_config(RUNS[1]) for _ in range(3))
    fewer["data"]["label_names"] = ["cat", "dog"]
    del silent["data"]["label_names"]
    nonsense["data"]["label_names"] = 10
    for name, second, classes in (
        ("same", make_config(RUNS[1]), 10),
        ("different", fewer, None),
        ("silent", silent, None),
        ("nonsense", nonsense, None),
    ):
        (tmp_path / name).mkdir()
        assert write(tmp_path / name, make_config(RUNS[0]), second).classes == classes, name


def test_many_values_are_not_all_listed(tmp_path: Path) -> None:
    settings = write(tmp_path, *(make_config(("rst", 0.9, seed)) for seed in range(9)))
    assert settings.differing["seed"] == "0, 1, 2, 3, 4, 5 and 3 more"


@pytest.mark.parametrize("document", [{}, {"config": 3, "data": [], "versions": None, "git_commit": 1, "command": [1]}])
def test_a_config_that_says_nothing_is_no_error(tmp_path: Path, document: dict) -> None:
    assert write(tmp_path, document) == Settings({}, {}, {}, (), (), None)


def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"run0/config.json must contain a JSON object, but contains a list$"):
        write(tmp_path, [])
