"""A place for a ticket, and what belongs there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlth_tf import files
from tests.core.forgery import TICKET


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tickets") / "ticket.npz"


@pytest.fixture(scope="module")
def saved() -> tuple[bytes, dict]:
    """The two files of TICKET."""
    packed = {name: np.packbits(mask, axis=None) for name, mask in TICKET.items()}
    data = files.npz_bytes(packed)
    tensors = TICKET.counts()
    return data, {
        "format": "dlth_tf ticket 1",
        "provenance": dict(TICKET.provenance),
        "tensors": tensors,
        "sha256": files.sha256(data),
    }
