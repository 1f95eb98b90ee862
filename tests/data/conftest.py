"""Fixtures of the data tests: digits, prepared once, and small random data sets."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.data import DataSet, Normalization, Split, load

ROOT = Path(__file__).resolve().parents[2]
RAW = Normalization(1.0, (0.0,), (1.0,))
RAW3 = Normalization(1.0, (0.0,) * 3, (1.0,) * 3)


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("prepared"))
    load("digits", path)
    return path


@pytest.fixture(scope="session")
def digits(digits_dir: str) -> DataSet:
    return load("digits", digits_dir)


@pytest.fixture(scope="session")
def real_data_dir() -> str:
    path = Path(os.environ.get("DLTH_DATA_DIR", ROOT.parent / "shared" / "data" / "tfds"))
    if not (path / "fashion_mnist").is_dir():
        pytest.skip(f"no prepared fashion_mnist in {path}: set DLTH_DATA_DIR to its directory")
    return str(path)


def numbered(count: int) -> Split:
    """Returns a split whose every image and label is its own index: a batch shows which examples it contains."""
    indices = np.arange(count)
    return Split(indices.astype(np.uint8).reshape(-1, 1, 1, 1), indices.astype(np.int64))


def random_split(count: int, shape: tuple[int, int, int] = (4, 5, 3), classes: int = 3, seed: int = 0) -> Split:
    draw = np.random.default_rng(seed)
    return Split(draw.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count, dtype=np.int64) % classes)


def random_dataset(**changes: object) -> DataSet:
    parts = {
        "name": "random",
        "train": random_split(30),
        "validation": random_split(6, seed=1),
        "test": random_split(9, seed=2),
    }
    return DataSet(**{**parts, "label_names": ("a", "b", "c"), **changes})
