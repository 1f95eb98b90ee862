"""How pipelines run beside the training: as many images or batches at a time as there are cores, and without autotuning."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

READY = 2  # batches that wait for the training: not more, since a batch of large images is large


def cores() -> int:
    """How many examples or batches are made at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def options() -> tf.data.Options:
    """Batches in order, and no copy of the images; with several workers each takes its share of a batch.

    Without autotuning, which would choose the number of parallel calls: when an iterator with it is let go, TensorFlow 2.21 often
    waits for the end of a tuning period. That is 5 or 10 seconds and up to a minute, once in every phase.
    """
    import tensorflow as tf

    chosen = tf.data.Options()
    chosen.deterministic = True
    chosen.autotune.enabled = False
    chosen.experimental_optimization.apply_default_optimizations = (
        False  # rewriting the graph copies every tensor that it captures
    )
    chosen.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return chosen
