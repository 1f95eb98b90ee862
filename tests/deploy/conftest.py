"""A fixture that checks exports in this process, for tests of something else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.deploy.checks import standalone, verification


@contextlib.contextmanager
def checks_in_this_process(folder: Path) -> Iterator[None]:
    """Runs the checks in this process, which has TensorFlow loaded already; `folder` takes their data."""

    def run(task: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        data = folder / "data.npz"
        data.write_bytes(files.npz_bytes(arrays))
        result = standalone.run({**task, "threads": 0, "data": str(data)})
        if "error" in result:
            raise RuntimeError(result["error"])
        return result["forms"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "in_a_fresh_process", run)
        yield


@pytest.fixture
def checked_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Checks exports in this process, for tests of other things."""
    with checks_in_this_process(tmp_path_factory.mktemp("data")):
        yield
