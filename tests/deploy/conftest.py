"""A check of exports in this process, for tests of something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.deploy.checks import standalone, verification


@pytest.fixture
def checked_here(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The very checks of the fresh process in this one, which has TensorFlow loaded already."""
    folder = tmp_path_factory.mktemp("data")

    def run(task: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        data = Path(folder) / "data.npz"
        data.write_bytes(files.npz_bytes(arrays))
        result = standalone.run({**task, "threads": 0, "data": str(data)})
        if "error" in result:
            raise RuntimeError(result["error"])
        return result["forms"]

    monkeypatch.setattr(verification, "in_a_fresh_process", run)
