"""Weights files of somebody else refer to no other file, and claim no more than the model has."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs.weights import load_initial_weights
from dlth_tf.runs.weights_files import INSIDE
from tests.runs.test_weights import network


def external(path: Path) -> None:
    (path.parent / "secret").write_bytes(b"\1" * 4000)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (10,), "f4", external=[(str(path.parent / "secret"), 0, 40)])


def external_link(path: Path) -> None:
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["a"] = np.zeros(3)
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink(str(path.parent / "other.h5"), "/a")


def soft_link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = h5py.SoftLink("/b")


def virtual(path: Path) -> None:
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["a"] = np.zeros(3)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(path.parent / "other.h5"), "a", (3,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("a", layout)


def claims_16_gb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/kernel", (2**32,), "f4", chunks=(2**20,))


def wide(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (3,), "S100000")


def circle(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("a")["b"] = file["/"]


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 50 * 2**30)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


WRITERS: list[Callable[[Path], None]] = [
    *(external, external_link, soft_link, virtual, claims_16_gb, wide, circle, sparse, pipe, device)
]


def one_line(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        load_initial_weights(network(), str(path))
    assert refused.value.thing == "init_weights" and "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_hostile_weights_file_is_one_sentence(write, name, tmp_path):
    write(tmp_path / name)
    said = one_line(tmp_path / name)
    assert "does not contain the weights of" in said or ": cannot be read (it is " in said


@pytest.mark.timeout(60)
@pytest.mark.parametrize("write", [external, external_link, virtual, claims_16_gb], ids=lambda write: write.__name__)
def test_the_same_inside_of_a_keras_file(write, tmp_path):
    write(tmp_path / "a.h5")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(tmp_path / "a.h5", INSIDE)
    assert "does not contain the weights of" in one_line(tmp_path / "a.keras")


def test_a_keras_file_that_unpacks_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(INSIDE, b"\0" * (70 * 2**20))
    assert f"its {INSIDE} is larger than" in one_line(tmp_path / "a.keras")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("write", [sparse, pipe, device], ids=lambda write: write.__name__)
def test_a_hostile_npz_is_one_sentence(write, tmp_path):
    write(tmp_path / "a.npz")
    assert ": cannot be read (it is " in one_line(tmp_path / "a.npz")
