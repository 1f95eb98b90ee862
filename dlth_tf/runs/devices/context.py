"""Devices, precision and determinism of a run, restored afterwards."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import tensorflow as tf
import tf_keras
from tensorflow.python.framework import config as tf_config  # the only way to turn determinism off again

from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.strategies import strategy


@contextlib.contextmanager
def machine(config: RunConfig) -> Iterator[tf.distribute.Strategy]:
    """Sets precision, determinism and random generators whose state can be saved, and yields the strategy."""
    stateful = tf_keras.backend.experimental.is_tf_random_generator_enabled()
    floatx = tf_keras.backend.floatx()
    policy = tf_keras.mixed_precision.global_policy()
    deterministic = tf_config.is_op_determinism_enabled()
    chosen = strategy(config)  # first: workers must find each other before TensorFlow does anything else
    tf_keras.backend.clear_session()
    tf_keras.backend.set_floatx(config.weight_dtype)
    tf_keras.mixed_precision.set_global_policy(config.precision)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    # Dropout then draws from a variable, which a checkpoint can hold, and not from a counter inside TensorFlow.
    tf_keras.backend.experimental.enable_tf_random_generator()
    try:
        yield chosen
    finally:
        tf_keras.backend.set_floatx(floatx)
        # None, not the float policy itself: otherwise it would override a later set_floatx.
        tf_keras.mixed_precision.set_global_policy(None if policy.name == floatx else policy)
        if not deterministic:
            tf_config.disable_op_determinism()
        if not stateful:
            tf_keras.backend.experimental.disable_tf_random_generator()
        # The graphs of a finished run are one large cycle, which Python would collect in the middle of a later run.
        gc.collect()
