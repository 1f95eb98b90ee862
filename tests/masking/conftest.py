"""Restores the global settings of Keras after every test of masking and callbacks."""

from __future__ import annotations

import pytest
import tf_keras


@pytest.fixture(autouse=True)
def keras_is_left_as_it_was():
    yield
    tf_keras.mixed_precision.set_global_policy(None)  # the policy follows floatx again
    tf_keras.backend.set_floatx("float32")
    tf_keras.backend.clear_session()
