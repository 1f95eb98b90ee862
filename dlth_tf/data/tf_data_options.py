"""Options of every tf.data pipeline: one image or batch at a time per core, in order, and without autotuning."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

READY = 2  # batches prefetched for the training; no more, since a batch of large images is large


def cores() -> int:
    """Returns the number of cores of this process: the number of examples or batches that are computed at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def options() -> tf.data.Options:
    """Returns options that keep batches in order, copy no images, and give each worker its share of a batch.

    Autotuning, which would choose the number of parallel calls, is off: when an iterator with it is released,
    TensorFlow 2.21 often waits for the end of a tuning period. That is 5 or 10 seconds and up to a minute, once in
    every phase.
    """
    import tensorflow as tf

    result = tf.data.Options()
    result.deterministic = True
    result.autotune.enabled = False
    # Rewriting the graph copies every tensor that it captures.
    result.experimental_optimization.apply_default_optimizations = False
    result.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return result
