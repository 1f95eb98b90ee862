"""Measures the cost of several replicas, and the change of the result.

    python benchmarks/scaling.py [--quick]

Trains the same network on the same batches with 1, 2 and 4 replicas on logical CPU devices and with 2 worker processes.
Prints for each the images per second of its steps (without the first burst, which traces), as the median over bursts
with the smallest and the largest; and the largest difference of a final weight from that of one device, also with
everything computed in float64. Both differences are due to rounding. In float32 they can be larger than expected: if
rounding moves the input of a ReLU to the other side of 0, its gradient jumps, and the labels here are random, so that
training amplifies the difference.

On one machine without GPUs the replicas share its cores, which one replica uses too: nothing can be faster here. The
figures show the cost of splitting a batch and of summing gradients, and that the network stays the same up to rounding.
They do not show the speed of several GPUs or machines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from absl import app, flags, logging

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from local_cluster import free_ports

FLAGS = flags.FLAGS
flags.DEFINE_boolean("quick", False, "fewer and shorter bursts")
flags.DEFINE_string("part", "", "for the processes that this one starts: one_device, mirrored or multi_worker")
flags.DEFINE_integer("replicas", 1, "replicas of mirrored")
flags.DEFINE_string("precision", "float32", "precision of a part")
flags.DEFINE_string("out", "", "file for the measurements of a part")

BATCH = 128
CASES = (("one_device", 1), ("mirrored", 2), ("mirrored", 4), ("multi_worker", 2))


def measure() -> None:
    """Measures one part, in a separate process: several strategies in one process disturb each other."""
    logging.set_verbosity(logging.ERROR)
    import dlth_tf as dlth
    from dlth_tf.tensorflow_start import start_tensorflow

    start_tensorflow()
    import tensorflow as tf
    import tf_keras

    from dlth_tf import masking
    from dlth_tf.models import build
    from dlth_tf.runs.config import RunConfig
    from dlth_tf.runs.devices.strategies import strategy, writes

    replicas = FLAGS.replicas if FLAGS.part == "mirrored" else None
    config = RunConfig("dense", "digits", "lenet_300_100", strategy=FLAGS.part, num_replicas=replicas, batch_size=BATCH)
    tf_keras.backend.set_floatx(FLAGS.precision)
    chosen = strategy(config)  # before anything else starts TensorFlow's devices
    bursts, steps = (4, 5) if FLAGS.quick else (9, 40)
    rng = np.random.default_rng(0)
    images, labels = rng.random((steps * BATCH, 28, 28, 1), np.float32), rng.integers(0, 10, steps * BATCH)
    images = images.astype(FLAGS.precision)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(BATCH)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    with chosen.scope():
        model = dlth.wrap(build("lenet_300_100", (28, 28, 1), 10, seed=0))
        optimizer = dlth.optimizers.SGD(1e-2, momentum=0.9, weight_decay=5e-4)
        model.compile(optimizer, tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), steps_per_execution=5)
    speeds = []
    for _ in range(bursts):
        began = time.perf_counter()
        model.fit(batches.with_options(options), verbose=0)
        speeds.append(steps * BATCH / (time.perf_counter() - began))
    if writes(config.strategy):
        weights = masking.weight_arrays(model)
        np.savez(FLAGS.out, **weights, speeds=np.array(speeds[1:]))


def run_part(part: str, replicas: int, precision: str, path: str) -> dict[str, np.ndarray]:
    """Returns the measurements of a part."""
    words = [
        sys.executable,
        __file__,
        f"--part={part}",
        f"--replicas={replicas}",
        f"--out={path}",
        f"--quick={FLAGS.quick}",
    ]
    words.append(f"--precision={precision}")
    environments = [dict(os.environ)]
    if part == "multi_worker":
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(replicas)]}
        tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(replicas)]
        environments = [{**os.environ, "TF_CONFIG": json.dumps(task)} for task in tasks]
    processes = [subprocess.Popen(words, env=environment) for environment in environments]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit(f"{part} with {replicas} replicas failed")
    with np.load(path) as found:
        return dict(found)


def main(_: list[str]) -> None:
    if FLAGS.part:
        measure()
        return
    rows, first = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (part, replicas) in enumerate(CASES):
            row = {"strategy": part, "replicas": replicas}
            for precision in ("float32", "float64"):
                found = run_part(part, replicas, precision, f"{folder}/{number}-{precision}.npz")
                speeds = found.pop("speeds")
                one = first.setdefault(precision, found)
                if precision == "float32":
                    row["images/s"] = f"{np.median(speeds):,.0f} ({speeds.min():,.0f} to {speeds.max():,.0f})"
                row[f"differs, {precision}"] = (
                    f"{max(float(np.abs(weight - one[name]).max()) for name, weight in found.items()):.1e}"
                )
            rows.append(row)
    print(f"lenet_300_100, batches of {BATCH} over all replicas, on {os.cpu_count()} cores that all replicas share\n")
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    app.run(main)
