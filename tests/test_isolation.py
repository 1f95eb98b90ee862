"""No test sees the precision that an earlier one has set, whichever tests share a process."""

from __future__ import annotations

import keras
import pytest
import tf_keras


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "float64"])
def test_a_test_finds_no_precision_of_an_earlier_one(policy):
    """Each case leaves what the next one would find."""
    assert tf_keras.backend.floatx() == keras.config.floatx() == keras.config.dtype_policy().name == "float32"
    tf_keras.backend.set_floatx("float64")
    assert tf_keras.layers.Dense(1).dtype == "float64", "a policy that an earlier case has set hides floatx"
    tf_keras.mixed_precision.set_global_policy(policy)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy(policy)
