"""Results of a sweep: read, validated and ordered."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.analysis.results import headline, read_results
from dlth_tf.errors import BadInput
from tests.analysis.conftest import WriteSweep, make_result, run_name, seeds

MIXED_UP = [
    *seeds("rst", 0.98, 0.9),
    ("rst", 0.9, 10, 0.9),
    ("rst", 0.9, 2, 0.9),
    *seeds("lth", 0.9, 0.9),
    *seeds("dense", 0.0, 0.9),
]


def order(root: Path) -> list[tuple[str, float, int]]:
    return list(read_results(root)[["method", "sparsity", "seed"]].itertuples(index=False, name=None))


def change(root: Path, run: tuple[str, float, int], key: str, value: Any) -> None:
    """Sets one value in the result of a run; `key` has the form "test.accuracy_last"."""
    path = root / run_name(*run) / "result.json"
    result = json.loads(path.read_text())
    *folders, last = key.split(".")
    part = result
    for folder in folders:
        part = part[folder]
    part[last] = value
    path.write_text(json.dumps(result))


def test_every_number_of_a_result_lands_in_its_column(write_sweep: WriteSweep) -> None:
    root = write_sweep([("rst", 0.9, 3, 0.8)])
    change(root, ("rst", 0.9, 3), "test.accuracy_before_removal", 0.7)
    change(root, ("rst", 0.9, 3), "test.accuracy_after_removal", 0.6)
    change(root, ("rst", 0.9, 3), "effective_sparsity", 0.95)
    change(root, ("rst", 0.9, 3), "cost.reused", {"phase": "train", "images": 10, "seconds": 1.5})
    (row,) = read_results(root).to_dict("records")
    assert row == {
        "method": "rst",
        "dataset": "digits",
        "model": "mlp",
        "seed": 3,
        "sparsity": 0.9,
        "sparsity_prunable": 0.9,
        "sparsity_global": 0.9 * 0.9,
        "effective_sparsity": 0.95,
        "test_accuracy_last": 0.8,
        "test_accuracy_best": 0.8 + 0.01,
        "test_accuracy_last5_mean": 0.8,
        "val_accuracy_last": 0.4,
        "accuracy_before_removal": 0.7,
        "accuracy_after_removal": 0.6,
        "images_seen": 6400,
        "training_macs_dense": 1.5e6,
        "training_macs_theoretical": 3e4,
        "wall_seconds": 2.5,
        "reused_seconds": 1.5,
        "parameters_total": 1000,
        "parameters_nonzero": 118,
        "weights_sha256": "ab" * 32,
        "run_dir": "rst-0.9-s3",
    }


def test_a_method_that_removes_nothing_has_no_accuracy_around_the_removal(write_sweep: WriteSweep) -> None:
    (row,) = read_results(write_sweep(seeds("dense", 0.0, 0.9))).to_dict("records")
    assert math.isnan(row["accuracy_before_removal"]) and math.isnan(row["accuracy_after_removal"])


def test_rows_follow_the_plan_then_sparsity_then_seed(write_sweep: WriteSweep) -> None:
    root = write_sweep(MIXED_UP, methods=["rst", "dense"])
    assert order(root) == [("rst", 0.9, 2), ("rst", 0.9, 10), ("rst", 0.98, 0), ("dense", 0.0, 0), ("lth", 0.9, 0)]


def test_without_a_plan_methods_go_by_name(write_sweep: WriteSweep) -> None:
    assert [method for method, _, _ in order(write_sweep(MIXED_UP))] == ["dense", "lth", "rst", "rst", "rst"]


def test_a_directory_without_a_result_is_no_complete_run(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    (root / "rst-0.9-s1").mkdir()
    (root / "rst-0.9-s1" / "config.json").write_text("{}")
    assert len(read_results(root)) == 1


@pytest.mark.parametrize("name", ["", "no_such_directory"])
def test_a_sweep_without_a_complete_run_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"^sweep_dir=.*: contains no complete run") as refused:
        read_results(tmp_path / name)
    assert str(refused.value).endswith("there is no such directory") == bool(name)


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, "\xff", "1" * 10_000])
def test_what_is_not_json_is_refused_in_one_sentence(write_sweep: WriteSweep, text: str) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    (root / "rst-0.9-s0" / "result.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"^sweep_dir=.*: rst-0.9-s0/result.json is not valid JSON \([^\n]*\)$"):
        read_results(root)


def test_a_result_that_is_no_object_is_refused(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    (root / "rst-0.9-s0" / "result.json").write_text("[]")
    with pytest.raises(BadInput, match=r"rst-0.9-s0/result.json must contain a JSON object, but contains a list$"):
        read_results(root)


def test_a_result_that_cannot_be_read_is_refused(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    (root / "rst-0.9-s1" / "result.json").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"rst-0.9-s1/result.json cannot be read \(Is a directory\)$"):
        read_results(root)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("method", "", "method is '', but must be a name"),
        ("seed", True, "seed is True, but must be a whole number, at least 0"),
        ("sparsity", 0.9, "sparsity.target is missing, but must be a number, at least 0 and below 1"),
        ("sparsity.target", 1.0, "sparsity.target is 1.0, but must be a number, at least 0 and below 1"),
        ("test.accuracy_last", 97.6, "test.accuracy_last is 97.6, but must be a number from 0 to 1"),
        ("test.accuracy_last", None, "test.accuracy_last is missing, but must be a number from 0 to 1"),
        ("val.accuracy_last", "0.9", "val.accuracy_last is '0.9', but must be a number from 0 to 1"),
        ("cost.wall_seconds", 1e30, r"cost.wall_seconds is 1e\+30, but must be a number, at least 0"),
        (
            "parameters.total",
            2**70,
            "parameters.total is 1180591620717411303424, but must be a whole number, at least 0",
        ),
    ],
)
def test_an_invalid_value_is_refused_by_name(write_sweep: WriteSweep, key: str, value: Any, reason: str) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    change(root, ("rst", 0.9, 0), key, value)
    with pytest.raises(BadInput, match=rf": rst-0.9-s0/result.json is not a valid result: {reason}$"):
        read_results(root)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 10**400, "\ud800"], ids=["nan", "inf", "digits", "half a letter"]
)
def test_what_json_or_a_file_cannot_hold_is_refused(write_sweep: WriteSweep, value: Any) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    change(root, ("rst", 0.9, 0), "cost.wall_seconds", value)
    with pytest.raises(BadInput, match=r": rst-0.9-s0/result.json is not valid JSON \(it contains "):
        read_results(root)


@pytest.mark.parametrize(("key", "kind"), [("dataset", "data sets"), ("model", "models")])
def test_runs_that_cannot_be_compared_are_refused(write_sweep: WriteSweep, key: str, kind: str) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9, 0.8))
    change(root, ("rst", 0.9, 1), key, "another")
    with pytest.raises(BadInput, match=rf"contains runs of different {kind} \(\w+, another\)"):
        read_results(root)


def test_the_same_run_twice_is_refused(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9, 0.8))
    (root / "copy").mkdir()
    (root / "copy" / "result.json").write_text(json.dumps(make_result("rst", 0.9, 1, 0.8)))
    with pytest.raises(BadInput, match=r"contains rst at sparsity 0.9 with seed 1 more than once \(copy, rst-0.9-s1\)"):
        read_results(root)


@pytest.mark.parametrize(("more", "words"), [((), "1 seed"), ((0.8, 0.8), "1 to 3 seeds")])
def test_the_headline_states_the_number_of_seeds_per_cell(
    write_sweep: WriteSweep, more: tuple[float, ...], words: str
) -> None:
    root = write_sweep([*seeds("rst", 0.9, 0.9), *seeds("lth", 0.9, 0.9, *more)])
    assert headline(read_results(root)) == ("digits", "mlp", words)
