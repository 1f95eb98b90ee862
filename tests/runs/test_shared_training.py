"""A dense training that several runs start with is done once, and every run ends as if it had done it itself."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlth_tf import data
from dlth_tf.methods import METHODS, Network, Phase
from dlth_tf.runs import shared_training
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.inputs import Inputs
from dlth_tf.runs.plan import make_phases, make_recipe
from dlth_tf.runs.runner import run
from dlth_tf.runs.training_run import Run
from tests.runs.tiny import EXAMPLES, FILES, TinyRuns, data_dir, tiny, train

SAME = ("sparsity", "test", "val", "parameters", "weights_sha256")


def trained(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.npz"))


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    counted = {name: value for name, value in result["cost"].items() if name not in ("wall_seconds", "reused")}
    return {
        **{name: result[name] for name in SAME},
        "cost": counted,
        "phases": [phase["steps"] for phase in result["phases"]],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_runs: TinyRuns) -> Path:
    """The folder where one run of lth has stored its dense training."""
    path = tmp_path_factory.mktemp("sweep")
    result = train(tiny("lth", path / "lth", shared_dir=str(path / "shared"))).result
    assert "reused" not in result["cost"] and without_times(result) == without_times(tiny_runs["lth"].result)
    return path


@pytest.mark.fast_cases("l1")
@pytest.mark.parametrize("method", ["lth", "l1", "l1_iter"])
def test_a_run_that_takes_over_a_training_ends_as_if_it_had_made_it(method, folder, tiny_runs):
    before = trained(folder / "shared")
    done = train(tiny(method, folder / f"{method} again", shared_dir=str(folder / "shared")))
    assert trained(folder / "shared") == before and "train" not in done.watched.batches
    assert without_times(done.result) == without_times(tiny_runs[method].result)
    first = done.result["phases"][0]
    assert done.result["cost"]["reused"] == {"phase": "train", "images": first["images"], "seconds": first["seconds"]}
    expected = tiny_runs[method].history.drop(columns="seconds")
    assert done.history.drop(columns="seconds").equals(expected)
    assert {path.name for path in done.directory.path.iterdir()} - {".lock"} == FILES


@pytest.mark.slow
def test_rounds_of_other_sparsities_begin_with_the_same_round_and_rewind_to_the_same_weights(tmp_path):
    options = {"rewind_step": "5it", "steps_per_execution": 3, "epochs": 1, "cycles": 1}
    alone = run(tiny("lth_iter", tmp_path / "alone", sparsity=0.5, **options))
    run(tiny("lth_iter", tmp_path / "first", sparsity=0.9, shared_dir=str(tmp_path / "shared"), **options))
    second = run(tiny("lth_iter", tmp_path / "second", sparsity=0.5, shared_dir=str(tmp_path / "shared"), **options))
    assert second["cost"]["reused"]["phase"] == "round_1" and len(trained(tmp_path / "shared")) == 1
    assert without_times(second) == without_times(alone)


@functools.cache
def digits() -> data.DataSet:
    return data.load("digits", data_dir())


def first_phase(method: str, tmp_path: Path, **changes: Any) -> tuple[Run, Phase]:
    """A run before its first step, with its first phase."""
    config = tiny(method, tmp_path / "run", shared_dir=str(tmp_path), **changes)
    recipe = make_recipe(config, EXAMPLES["train"])
    inputs = Inputs(digits(), data.normalization(digits(), None), config.seed, "none", config.weight_dtype)
    network = Network(None, recipe, {"kernel": np.ones(3)}, inputs, dict)
    return Run(config, RunDirectory(tmp_path), inputs, network, None), make_phases(method, recipe)[0]


def key_of(method: str, tmp_path: Path, **changes: Any) -> str | None:
    """The name of a run's first training among the shared ones; None if it cannot be shared."""
    run, phase = first_phase(method, tmp_path, **changes)
    return shared_training.shared_key(run, phase) if phase.shareable else None


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"epochs": 3},
        {"lr": 0.05},
        {"batch_size": 64},
        {"model_args": '{"width": 0.2}'},
        {"weight_decay": 0.0},
        {"lr_boundaries": "1,2"},
        {"augment": "crop_flip"},
        {"precision": "float64"},
        {"steps_per_execution": 1},
    ],
    ids=str,
)
def test_another_training_has_another_name(other, tmp_path):
    assert key_of("lth", tmp_path, **other) != key_of("lth", tmp_path)


def test_a_training_on_other_examples_of_the_same_name_has_another_name(tmp_path, monkeypatch):
    name = key_of("lth", tmp_path)
    train = dataclasses.replace(digits().train, labels=np.roll(digits().train.labels, 1))
    corrected = dataclasses.replace(digits(), train=train)
    monkeypatch.setattr("tests.runs.test_shared_training.digits", lambda: corrected)
    assert key_of("lth", tmp_path) != name


def test_what_comes_after_the_training_does_not_change_its_name(tmp_path):
    assert key_of("lth_long", tmp_path, penalty_step=0.2) == key_of("lth", tmp_path) is not None
    assert key_of("lth", tmp_path, sparsity=0.5, granularity="filter") == key_of(
        "l1", tmp_path, allocation="erk", cycles=3
    )
    assert (
        key_of("lth_iter", tmp_path, sparsity=0.5)
        == key_of("lth_iter", tmp_path)
        != key_of("lth_iter", tmp_path, rewind_step="3it")
    )


@pytest.mark.parametrize(
    "method",
    [name for name in METHODS.names() if name not in ("dense", "lth", "lth_long", "lth_iter", "l1", "l1_iter")],
)
def test_methods_that_do_more_than_train_share_nothing(method, tmp_path):
    assert key_of(method, tmp_path) is None or method == "small_dense"  # its network, and so its name, is its own


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        path.write_bytes(data[:-500] + bytes([data[-500] ^ 1]) + data[-499:])
    else:
        path.unlink()


@pytest.mark.fast_cases("flipped-npz")
@pytest.mark.parametrize(
    ("how", "ending"),
    [
        pytest.param("flipped", "npz", marks=pytest.mark.slow),
        ("truncated", "json"),
        pytest.param("truncated", "npz", marks=pytest.mark.slow),
        pytest.param("missing", "npz", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_training_is_made_again(how, ending, folder, tmp_path, tiny_runs):
    place = shutil.copytree(folder / "shared", tmp_path / "shared")
    (found,) = place.glob(f"*.{ending}")
    spoil(found, how)
    result = run(tiny("l1", tmp_path / "second", shared_dir=str(place)))
    assert "reused" not in result["cost"] and without_times(result) == without_times(tiny_runs["l1"].result)
    assert run(tiny("l1", tmp_path / "third", shared_dir=str(place)))["cost"]["reused"]
