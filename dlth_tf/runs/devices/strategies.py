"""TensorFlow strategies for --strategy and --num_replicas, and checks of their limits."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import tensorflow as tf

from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.recipe import check_batches

EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'


def strategy(config: RunConfig) -> tf.distribute.Strategy:
    """Returns the strategy of a run; `multi_worker` waits until all workers have started.

    Raises:
      BadInput: If devices, workers or a TPU are missing; if logical CPU devices can no longer be created in this
        process; or if the devices do not support the configuration.
    """
    gpus = tf.config.list_physical_devices("GPU")
    kind = "mirrored" if config.strategy == "auto" and len(gpus) > 1 else config.strategy
    if kind == "mirrored":
        chosen = _mirrored(config, gpus)
    elif kind == "multi_worker":
        chosen = _multi_worker(config, gpus)
    elif kind == "tpu":
        chosen = _tpu()
    else:
        return tf.distribute.get_strategy()
    check_batches(config, chosen.num_replicas_in_sync)
    return chosen


def _mirrored(config: RunConfig, gpus: list[Any]) -> tf.distribute.Strategy:
    replicas = config.num_replicas or max(1, len(gpus))
    if replicas > len(gpus) and gpus:
        raise BadInput("num_replicas", replicas, f"must be at most {len(gpus)}, the number of GPUs")
    if not gpus:
        _refuse_xla(config, "the logical CPU devices of --strategy=mirrored")
        _make_logical_cpus(replicas)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(replicas)])


def _multi_worker(config: RunConfig, gpus: list[Any]) -> tf.distribute.Strategy:
    workers()
    if not gpus:
        _refuse_xla(config, "the CPUs of --strategy=multi_worker")
    try:
        chosen = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:  # TensorFlow must learn of its cluster before it does anything else
        if "program startup" not in str(error):
            raise
        raise BadInput("strategy", "multi_worker", "requires a process that has not used TensorFlow yet") from None
    if threading.current_thread() is threading.main_thread():
        # TensorFlow has just replaced the handler of SIGTERM; this installs Python's again.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return chosen


def workers() -> tuple[list[str], int]:
    """Returns the addresses of all workers and the index of this one, from the environment variable TF_CONFIG.

    Raises:
      BadInput: If TF_CONFIG is not set or does not describe a cluster of workers only.
    """
    try:
        content = json.loads(os.environ.get("TF_CONFIG", ""))
        addresses = content["cluster"]["worker"]
        index = int(content["task"]["index"])
        if content["cluster"].keys() != {"worker"} or content["task"]["type"] != "worker":
            raise ValueError
        if not 0 <= index < len(addresses):
            raise ValueError
        return [str(address) for address in addresses], index
    except (ValueError, KeyError, TypeError):
        text = os.environ.get("TF_CONFIG")
        observed = "it is not set" if text is None else f"it is {text!r}"
        raise BadInput(
            "strategy", "multi_worker", f"requires the environment variable TF_CONFIG, such as {EXAMPLE}; {observed}"
        ) from None


def writes(strategy_name: str) -> bool:
    """Returns whether this process writes the run directory: all do except workers 1, 2, ... of multi_worker."""
    return strategy_name != "multi_worker" or workers()[1] == 0


def _tpu() -> tf.distribute.Strategy:
    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        raise BadInput(
            "strategy", "tpu", f"cannot use the TPU named {name} ({reason}); TPU_NAME names another one"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def _refuse_xla(config: RunConfig, devices: str) -> None:
    if config.jit_compile:
        raise BadInput("jit_compile", True, f"XLA is not supported on {devices}")


def _make_logical_cpus(replicas: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # TensorFlow has started its devices: fine if there are enough
        started = len(tf.config.list_logical_devices("CPU"))
        if started < replicas:
            raise BadInput(
                "num_replicas",
                replicas,
                f"TensorFlow has already started in this process with fewer logical CPU devices ({started})",
            ) from None
