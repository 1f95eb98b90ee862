"""Every example and notebook runs in an empty folder, and does what its first line says."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from tests.data.conftest import real_data_dir as real_data_dir

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples"
OF_THE_COMMANDS = {"own_method", "own_model_and_data"}  # no scripts; tests/test_examples.py runs them
QUICK = {"table_of_columns"}
Names = Mapping[str, Any]


def sparsities(model: tf_keras.Model) -> list[float]:
    """Returns the share of zeros of every kernel of a plain model."""
    kernels = [weight.numpy() for weight in model.weights if weight.shape.rank > 1]
    return [round(1 - np.count_nonzero(kernel) / kernel.size, 2) for kernel in kernels]


def transfer_learning(names: Names) -> None:
    shares = sparsities(names["plain"])
    assert sorted(shares) == [0, 0, 0.8, 0.8] and shares[0] == 0, "the frozen layer and the head stay dense"
    assert names["accuracy"] > 0.9 and Path("exported/packed/saved_model.pb").exists()


def prune_a_saved_model(names: Names) -> None:
    assert sparsities(names["again"]) == [0.9, 0.9, 0]
    assert names["accuracies"][1] > names["accuracies"][0] - 0.05


def own_train_step(names: Names) -> None:
    assert sparsities(names["plain"]) == [0.95, 0.95, 0] and names["accuracy"] > 0.9


def tf_data_mixed_precision(names: Names) -> None:
    assert sparsities(names["plain"]) == [0, 0.9, 0.9, 0] and names["accuracy"] > 0.85
    assert names["plain"].get_layer("conv2").compute_dtype == "bfloat16"


def early_stopping(names: Names) -> None:
    assert sparsities(names["plain"]) == [0.9, 0] and names["accuracy"] > 0.9
    assert len(names["history"].epoch) < 100
    assert 11 <= names["stop"].stopped_epoch < 60
    assert dlth.summary(names["gradual"]).sparsity == pytest.approx(0.9, 1e-3)


def filters_for_speed(names: Names) -> None:
    assert [layer.filters for layer in names["small"].layers if hasattr(layer, "filters")][1:] <= [17, 17]
    assert names["difference"] < 1e-3 and names["accuracy"] > 0.97


def text_classifier(names: Names) -> None:
    weights = {weight.name: np.count_nonzero(weight) / weight.numpy().size for weight in names["plain"].weights}
    pruned = [name for name, share in weights.items() if "kernel" in name and share < 0.21]
    assert len(pruned) == 6 and names["accuracy"] > 0.9


def table_of_columns(names: Names) -> None:
    assert sparsities(names["plain"])[-3:] == [0.9, 0.9, 0] and names["accuracy"] > 0.9


def run_serving(names: Names) -> None:
    answer = names["answer"]
    assert answer["label"] == str(answer["class"]) and sum(answer["probabilities"]) == pytest.approx(1)
    body = json.loads(Path("pixels.json").read_text())
    by_pixels = names["served"].signatures["serving_default"](images=np.uint8(body["instances"]).astype("float32"))
    assert by_pixels["class"].numpy()[0] == answer["class"] == names["data"].test.labels[0]


def run_litert(names: Names) -> None:
    assert names["accuracy"] > 0.9 and names["agreement"] > 0.99


def run_onnx(names: Names) -> None:
    assert names["accuracy"] > 0.85 and names["difference"] < 1e-3


CHECKS: tuple[Callable[[Names], None], ...] = (
    transfer_learning,
    prune_a_saved_model,
    own_train_step,
    tf_data_mixed_precision,
    early_stopping,
    filters_for_speed,
    text_classifier,
    table_of_columns,
    run_serving,
    run_litert,
    run_onnx,
)
MARKED = [pytest.param(check, marks=() if check.__name__ in QUICK else pytest.mark.slow) for check in CHECKS]


def test_every_example_has_a_check():
    there = {path.stem for path in FOLDER.glob("*.py")}
    assert there == {check.__name__ for check in CHECKS} | OF_THE_COMMANDS


@pytest.mark.parametrize("check", MARKED)
def test_an_example_runs_in_an_empty_folder(check, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(FOLDER / f"{check.__name__}.py"), run_name="__main__")
    check(names)
    assert capsys.readouterr().out, "it says what it found"
    assert tf_keras.mixed_precision.global_policy().name == "float32"


def executed(name: str, folder: Path) -> str:
    """Runs a notebook in `folder`, and returns what its last cell printed."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "is stored without outputs"
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [cell["outputs"] for cell in notebook.cells if cell.cell_type == "code"]
    return "".join(output.get("text", "") for output in outputs[-1])


def accuracies(text: str) -> dict[str, float]:
    return {words[0]: float(words[1]) for line in text.splitlines() if len(words := line.split()) == 2}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_on_digits_shows_the_transformation_at_work(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    found = accuracies(executed("digits", tmp_path))
    assert found["rst"] > found["scratch"] and found["rst"] > 0.9


@pytest.mark.faults  # long: it trains for a minute or two
@pytest.mark.real_data
@pytest.mark.timeout(900)
def test_the_notebook_on_fashion_mnist_ends_with_a_small_model(real_data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("DLTH_DATA_DIR", real_data_dir)
    found = accuracies(executed("fashion_mnist", tmp_path))
    assert found["sparse"] > 0.8 and found["packed/dense"] < 0.5
