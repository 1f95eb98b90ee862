"""Devices, precision and determinism of a run, put back afterwards."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import tensorflow as tf
import tf_keras
from tensorflow.python.framework import config as tf_config  # the one place that can turn determinism off again

from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.strategies import strategy


@contextlib.contextmanager
def machine(config: RunConfig) -> Iterator[tf.distribute.Strategy]:
    """Sets up precision, determinism and generators whose state can be saved, and yields the strategy."""
    stateful = tf_keras.backend.experimental.is_tf_random_generator_enabled()
    before = tf_keras.backend.floatx(), tf_keras.mixed_precision.global_policy(), tf_config.is_op_determinism_enabled()
    chosen = strategy(config)  # first: several workers find each other before TensorFlow does anything else
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
        tf_keras.backend.set_floatx(before[0])
        # None: no policy of its own, so that whoever sets floatx later is heard.
        tf_keras.mixed_precision.set_global_policy(None if before[1].name == before[0] else before[1])
        if not before[2]:
            tf_config.disable_op_determinism()
        if not stateful:
            tf_keras.backend.experimental.disable_tf_random_generator()
        # The graphs of a finished run are one large cycle, which Python would collect in the middle of a later run.
        gc.collect()
