"""Measures what oneDNN changes in the speed of a training step, for every kind of network of the recipes.

    python benchmarks/onednn.py [--rounds=5] [--networks=lenet5,resnet56,...] [--batches=32,128] [--seconds=0.3]

The step is the transformation with 90 % of the weights under the penalty, with momentum .9, weight decay and one
thread, in float32 and in mixed_bfloat16. TensorFlow reads TF_ENABLE_ONEDNN_OPTS once, so "on" and "off" are two
processes; in every round each runs one burst, in turn. Ratios are formed within a round: the CPU time without oneDNN
over the one with it, so above 1 oneDNN is faster; median with the least and the greatest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from absl import app, flags

FLAGS = flags.FLAGS
IMAGES = {  # image shape of the networks by the beginning of their names
    "lenet": (28, 28, 1),
    "resnet8": (28, 28, 1),
    "resnet18": (64, 64, 3),
    "": (32, 32, 3),
}
NETWORKS = ["lenet_300_100", "lenet5", "resnet8", "resnet56", "wrn_16_2", "vgg11", "mobilenet_v2", "resnet18"]
PRECISIONS = ("float32", "mixed_bfloat16")
flags.DEFINE_integer("rounds", 5, "bursts per network, batch, precision and setting", lower_bound=3)
flags.DEFINE_list("networks", NETWORKS, "names of registered networks")
flags.DEFINE_list("batches", ["32", "128"], "images per step")
flags.DEFINE_float("seconds", 0.3, "length of a burst of the faster process", lower_bound=0.01)
flags.DEFINE_boolean("worker", False, "serve in this process")
PATIENCE = 10.0  # seconds without oneDNN, after which three rounds are enough
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def trained(name: str, batch: int, precision: str) -> Callable[[int], Any]:
    """Returns a function that trains a network for a number of steps, after it has traced the step."""
    import numpy as np
    import tensorflow as tf
    import tf_keras

    import dlth_tf as dlth
    from dlth_tf import masking
    from dlth_tf.core import PenaltySchedule
    from dlth_tf.models import build

    tf_keras.backend.clear_session()
    shape = next(shape for start, shape in IMAGES.items() if name.startswith(start))
    tf_keras.mixed_precision.set_global_policy(precision)
    model = dlth.wrap(build(name, shape, 10, seed=0))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.9))
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.optimizers.SGD(1e-4, momentum=0.9, weight_decay=5e-4), loss)
    masking.install(model, PenaltySchedule("x", 0.01, 1, 0.01, 10**9))
    random = np.random.default_rng(0)
    images, labels = random.random((batch, *shape), np.float32), random.integers(0, 10, batch)
    batches = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()

    def run(steps: int) -> None:
        model.fit(batches, steps_per_epoch=steps, verbose=0)

    run(1)
    return run


def serve() -> None:
    """Answers each line of standard input, "network batch precision steps", with the CPU seconds of the burst."""
    from dlth_tf.tensorflow_start import start_tensorflow

    start_tensorflow()
    case, run = "", None
    for line in sys.stdin:
        wanted, _, steps = line.strip().rpartition(" ")
        if run is None or wanted != case:
            name, batch, precision = wanted.split()
            case, run = wanted, trained(name, int(batch), precision)
        start = time.process_time()
        run(int(steps))
        print(time.process_time() - start, flush=True)


class Worker:
    """A process with oneDNN on or off."""

    def __init__(self, onednn: bool) -> None:
        environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["TF_ENABLE_ONEDNN_OPTS"] = str(int(onednn))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, __file__, "--worker"], env=environment, **pipes)

    def burst(self, case: str, steps: int) -> float:
        """Runs a burst, and returns its CPU time in seconds."""
        print(f"{case} {steps}", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process stopped in {case}")
        return float(answer)


def measure(case: str, on: Worker, off: Worker) -> tuple[str, ...]:
    """Returns the row of a case."""
    import numpy as np

    spent = min(worker.burst(case, 2) for worker in (on, off))
    steps = max(1, min(200, round(2 * FLAGS.seconds / spent)))
    times: dict[Worker, list[float]] = {on: [], off: []}
    for number in range(FLAGS.rounds):
        if number >= 3 and sum(times[off]) > PATIENCE:
            break
        for worker in (on, off) if number % 2 else (off, on):
            times[worker].append(worker.burst(case, steps))
    ratios = np.array(times[off]) / np.array(times[on])
    milliseconds = [f"{np.median(times[worker]) / steps * 1e3:.1f}" for worker in (on, off)]
    return (*case.split(), *milliseconds, f"{np.median(ratios):.2f}", f"{ratios.min():.2f} to {ratios.max():.2f}")


def main(_: Any) -> None:
    """Prints the table."""
    if FLAGS.worker:
        serve()
        return
    import pandas as pd

    cases = [
        f"{name} {batch} {precision}" for name in FLAGS.networks for batch in FLAGS.batches for precision in PRECISIONS
    ]
    on, off = Worker(True), Worker(False)
    try:
        rows = [measure(case, on, off) for case in cases]
    finally:
        for worker in (on, off):
            worker.process.kill()
    columns = ["network", "batch", "precision", "ms on", "ms off", "off / on", "least to greatest"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False), flush=True)


if __name__ == "__main__":
    app.run(main)
