"""Clears the session of Keras after every test of masking and callbacks."""

from __future__ import annotations

import pytest
import tf_keras


@pytest.fixture(autouse=True)
def keras_session_is_cleared():
    yield
    tf_keras.backend.clear_session()
