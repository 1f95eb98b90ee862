"""--init_weights: every file with the weights of the network is read, and any other file is refused in one sentence."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras

from dlth_tf import files, masking, models
from dlth_tf.errors import BadInput
from dlth_tf.runs.weights import load_initial_weights

SAVED = pytest.mark.parametrize("name", ["weights.npz", "model.h5", "only.h5", "only.weights.h5", "model.keras"])


@functools.cache
def spoiled() -> tf_keras.Model:
    """A network for files that are refused, built once, since a refused file may change it."""
    return network()


def network(seed: int = 0, width: float = 0.1) -> tf_keras.Model:
    return models.build("lenet_300_100", (8, 8, 1), 10, seed, {"width": width})


def weights(model: tf_keras.Model) -> dict[str, np.ndarray]:
    return masking.weight_arrays(model)


def write(arrays: dict[str, np.ndarray], path: Path) -> str:
    path.write_bytes(files.npz_bytes(arrays))
    return str(path)


def save(model: tf_keras.Model, path: Path) -> str:
    if path.suffix == ".npz":
        return write(weights(model), path)
    (model.save if path.name.startswith("model") else model.save_weights)(path)
    return str(path)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@SAVED
def test_weights_come_back_from_every_kind_of_file(name, tmp_path):
    saved, other = network(seed=5), network(seed=0)
    path = save(saved, tmp_path / name)
    assert any((value != weights(saved)[key]).any() for key, value in weights(other).items())
    load_initial_weights(other, path)
    assert all(np.array_equal(value, weights(saved)[key]) for key, value in weights(other).items())


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@SAVED
def test_weights_of_another_network_are_refused(name, tmp_path):
    path = save(network(width=0.2), tmp_path / name)
    with pytest.raises(
        BadInput, match=f"init_weights={path}: does not contain the weights of lenet_300_100: "
    ) as refused:
        load_initial_weights(spoiled(), path)
    assert "\n" not in str(refused.value)


def changed(**changes: np.ndarray | None) -> Callable[[dict], dict]:
    def change(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = {**arrays, **{name.replace("__", "/"): value for name, value in changes.items()}}
        return {name: value for name, value in made.items() if value is not None}

    return change


def test_float64_arrays_are_rounded_to_the_networks_own_dtype(tmp_path):
    exact = {name: value.astype("float64") + 1e-12 for name, value in weights(network(5)).items()}
    load_initial_weights(model := network(), write(exact, tmp_path / "weights.npz"))
    assert all(np.array_equal(value, exact[name].astype("float32")) for name, value in weights(model).items())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed(fc1__bias=None), "does not contain the weights of lenet_300_100: fc1/bias is missing in the file"),
        (changed(fc9__bias=np.zeros(3, "float32")), "fc9/bias is missing in the model"),
        (changed(fc1__bias=np.zeros(31, "float32")), "fc1/bias has shape [31] in the file and [30] in the model"),
        (changed(fc1__bias=np.full(30, np.nan, "float32")), "contains values in fc1/bias that are not finite"),
        (changed(fc1__bias=np.full(30, 1e300)), "contains values in fc1/bias that are not finite"),
        (changed(fc1__bias=np.full(30, 1j)), "an array of dtype complex128 is not allowed"),
        (changed(fc1__bias=np.full(30, "a")), "an array of dtype <U1 is not allowed"),
    ],
    ids=["missing", "unknown", "shape", "nan", "too large", "complex", "text"],
)
@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")
def test_arrays_that_are_not_the_networks_are_refused(change, sentence, tmp_path):
    path = write(change(weights(spoiled())), tmp_path / "weights.npz")
    with pytest.raises(BadInput) as refused:
        load_initial_weights(spoiled(), path)
    assert refused.value.thing == "init_weights" and refused.value.value == path and sentence in str(refused.value)


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.weights.h5", "a.keras", "a.txt", "a"])
@pytest.mark.parametrize(
    "content",
    [b"years of work\n", b"", b"PK\x03\x04broken", b"\x89HDF\r\n\x1a\nbroken"],
    ids=["text", "empty", "zip", "hdf"],
)
def test_a_file_of_something_else_is_one_sentence(name, content, tmp_path):
    (path := tmp_path / name).write_bytes(content)
    with pytest.raises(
        BadInput, match=f"init_weights={path}: does not contain the weights of lenet_300_100"
    ) as refused:
        load_initial_weights(spoiled(), str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("name", "observed"), [("none.npz", "no such file"), ("folder", "is a directory, not a file")])
def test_what_is_no_file_is_refused(name, observed, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=f"^init_weights={tmp_path / name}: {observed}$"):
        load_initial_weights(spoiled(), str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.weights.h5"])
def test_a_file_that_may_not_be_read_is_not_said_to_lack_weights(name, tmp_path, monkeypatch):
    def denied(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / name).touch()
    model = spoiled()
    monkeypatch.setattr(os, "open", denied)
    monkeypatch.setattr(h5py, "File", denied)
    with pytest.raises(BadInput, match=r"^init_weights=.*: cannot be read \(Permission denied\)$"):
        load_initial_weights(model, str(tmp_path / name))
