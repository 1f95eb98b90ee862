"""TensorFlow's own strategies for --strategy and --num_replicas, and what each of them cannot do."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import tensorflow as tf

from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig

EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'


def strategy(config: RunConfig) -> tf.distribute.Strategy:
    """The strategy of a run; `multi_worker` waits until all workers are there.

    Raises:
      BadInput: devices, workers or a TPU that are not there; logical CPU devices that can no longer be made in this process; or
        what the devices cannot do.
    """
    gpus = tf.config.list_physical_devices("GPU")
    wanted = "mirrored" if config.strategy == "auto" and len(gpus) > 1 else config.strategy
    if wanted == "mirrored":
        found = _mirrored(config, gpus)
    elif wanted == "multi_worker":
        found = _multi_worker(config, gpus)
    elif wanted == "tpu":
        found = _tpu()
    else:
        return tf.distribute.get_strategy()
    _check_batches(config, found.num_replicas_in_sync)
    return found


def _mirrored(config: RunConfig, gpus: list[Any]) -> tf.distribute.Strategy:
    replicas = config.num_replicas or max(1, len(gpus))
    if replicas > len(gpus) and gpus:
        raise BadInput("num_replicas", replicas, f"there are {len(gpus)} GPUs")
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
        found = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:  # TensorFlow wants to hear of its cluster before it does anything else
        if "program startup" not in str(error):
            raise
        raise BadInput("strategy", "multi_worker", "needs a process in which TensorFlow has not started yet") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(
            signal.SIGTERM, signal.getsignal(signal.SIGTERM)
        )  # TensorFlow has just put a handler of its own in its place
    return found


def workers() -> tuple[list[str], int]:
    """The addresses of all workers and this one's place among them, from the environment variable TF_CONFIG.

    Raises:
      BadInput: it is not set, or does not describe workers alone.
    """
    try:
        content = json.loads(os.environ.get("TF_CONFIG", ""))
        addresses, task, index = content["cluster"]["worker"], content["task"]["type"], int(content["task"]["index"])
        if content["cluster"].keys() != {"worker"} or task != "worker" or not 0 <= index < len(addresses):
            raise ValueError
        return [str(address) for address in addresses], index
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            "strategy", "multi_worker", f"needs the environment variable TF_CONFIG, such as {EXAMPLE}"
        ) from None


def writes(config: RunConfig) -> bool:
    """Whether this process writes the run directory: all do but the later workers of multi_worker."""
    return config.strategy != "multi_worker" or workers()[1] == 0


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
            "strategy", "tpu", f"found no TPU under the name {name}, which TPU_NAME can change ({reason})"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def _refuse_xla(config: RunConfig, where: str) -> None:
    if config.jit_compile:
        raise BadInput("jit_compile", True, f"XLA does not work on {where}")


def _check_batches(config: RunConfig, replicas: int) -> None:
    for name in ("batch_size", "transform_batch_size"):
        if getattr(config, name) % replicas:
            raise BadInput(name, getattr(config, name), f"must be a multiple of the {replicas} replicas")


def _make_logical_cpus(replicas: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # TensorFlow has started its devices: fine if they are enough
        if len(tf.config.list_logical_devices("CPU")) < replicas:
            raise BadInput(
                "num_replicas",
                replicas,
                "TensorFlow has started already in this process, with fewer logical CPU devices",
            ) from None
