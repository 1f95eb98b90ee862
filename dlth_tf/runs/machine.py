"""Devices, precision and determinism of a run, put back afterwards."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.framework import config as tf_config  # the one place that can turn determinism off again

from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig


@contextlib.contextmanager
def machine(config: RunConfig) -> Iterator[tf.distribute.Strategy]:
    """Sets up precision, determinism and generators whose state can be saved, and yields the strategy."""
    stateful = tf.keras.backend.experimental.is_tf_random_generator_enabled()
    before = tf.keras.backend.floatx(), tf.keras.mixed_precision.global_policy(), tf_config.is_op_determinism_enabled()
    tf.keras.backend.clear_session()
    tf.keras.backend.set_floatx(config.weight_dtype)
    tf.keras.mixed_precision.set_global_policy(config.precision)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    # Dropout then draws from a variable, which a checkpoint can hold, and not from a counter inside TensorFlow.
    tf.keras.backend.experimental.enable_tf_random_generator()
    try:
        yield strategy(config)
    finally:
        tf.keras.backend.set_floatx(before[0])
        # None: no policy of its own, so that whoever sets floatx later is heard.
        tf.keras.mixed_precision.set_global_policy(None if before[1].name == before[0] else before[1])
        if not before[2]:
            tf_config.disable_op_determinism()
        if not stateful:
            tf.keras.backend.experimental.disable_tf_random_generator()
        # The graphs of a finished run are one large cycle, which Python would collect in the middle of a later run.
        gc.collect()


def strategy(config: RunConfig) -> tf.distribute.Strategy:
    """TensorFlow's own strategy for --strategy and --num_replicas.

    Raises:
      BadInput: more replicas than there are GPUs, or logical CPU devices that can no longer be made in this process.
    """
    gpus = tf.config.list_physical_devices("GPU")
    wanted = "mirrored" if config.strategy == "auto" and len(gpus) > 1 else config.strategy
    if wanted != "mirrored":
        return tf.distribute.get_strategy()
    replicas = config.num_replicas or max(1, len(gpus))
    if not gpus:
        _make_logical_cpus(replicas)
    elif replicas > len(gpus):
        raise BadInput("num_replicas", replicas, f"there are {len(gpus)} GPUs")
    kind = "GPU" if gpus else "CPU"
    if config.jit_compile and kind == "CPU":
        raise BadInput("jit_compile", True, "XLA does not work on the logical CPU devices of --strategy=mirrored")
    return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(replicas)])


def _make_logical_cpus(replicas: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # TensorFlow has started its devices: fine if they are enough
        if len(tf.config.list_logical_devices("CPU")) < replicas:
            raise BadInput(
                "num_replicas", replicas, "TensorFlow has started already in this process, with fewer logical CPU devices"
            ) from None
