"""Fixtures: a path for a ticket, and the two files of a saved ticket."""

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
    """Returns the bytes of TICKET's .npz and the content of its .json."""
    packed = {name: np.packbits(mask, axis=None) for name, mask in TICKET.items()}
    data = files.npz_bytes(packed)
    tensors = TICKET.counts()
    return data, {
        "format": "dlth_tf ticket 1",
        "provenance": dict(TICKET.provenance),
        "tensors": tensors,
        "sha256": files.sha256(data),
    }
