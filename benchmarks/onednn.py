"""Measures what oneDNN, and other settings of TensorFlow, change in the speed of a training step.

    python benchmarks/onednn.py [--rounds=5] [--networks=lenet5,resnet56,...] [--batches=32,128] [--seconds=0.3]

The step is the transformation with 90 % of the weights under the penalty, with momentum .9 and weight decay. Each
setting has a process of its own, since TensorFlow reads most of them once; in every round each runs one burst, in turn.
Ratios are formed within a round; median with the least and the greatest.

The first table has every kind of network of the recipes, in float32 and mixed_bfloat16, with one thread: the CPU time
without oneDNN over the one with it, so above 1 oneDNN is faster. The second has one network with oneDNN and one thing
more changed: times of the setting over the default, so above 1 the setting is slower, by wall time and by CPU time.
"default again" is the same as the default: its spread is the noise.
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
PATIENCE = 20.0  # seconds of bursts, wall and CPU, after which three rounds are enough
OFF, XLA = "oneDNN off", "compiled by XLA"
SETTINGS: dict[str, dict[str, str]] = {  # environment of the processes
    "default": {},
    "default again": {},
    OFF: {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "two threads in an operation": {"TF_NUM_INTRAOP_THREADS": "2", "OMP_NUM_THREADS": "2"},
    "two operations at once": {"TF_NUM_INTEROP_THREADS": "2"},
    XLA: {},
}
OPTIMIZERS = {  # of graphs, which are switched off
    "without the remapper": "remapping",
    "without the layout optimizer": "layout_optimizer",
}
flags.DEFINE_integer("rounds", 5, "bursts per network, batch, precision and setting", lower_bound=3)
flags.DEFINE_list("networks", NETWORKS, "registered networks of the first table")
flags.DEFINE_list("batches", ["32", "128"], "images per step in the first table")
flags.DEFINE_string("other", "resnet20", "registered network of the second table")
flags.DEFINE_float("seconds", 0.3, "length of a burst of the fastest process", lower_bound=0.01)
flags.DEFINE_string("worker", None, "the setting to serve in this process")


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
    update = dlth.optimizers.SGD(1e-4, momentum=0.9, weight_decay=5e-4, jit_compile=FLAGS.worker == XLA)
    model.compile(update, loss, jit_compile=FLAGS.worker == XLA)
    masking.install(model, PenaltySchedule("x", 0.01, 1, 0.01, 10**9))
    random = np.random.default_rng(0)
    images, labels = random.random((batch, *shape), np.float32), random.integers(0, 10, batch)
    batches = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()

    def run(steps: int) -> None:
        model.fit(batches, steps_per_epoch=steps, verbose=0)

    run(1)
    return run


def serve() -> None:
    """Answers each line of standard input, "network batch precision steps", with the wall and CPU time of the burst."""
    from dlth_tf.tensorflow_start import start_tensorflow

    start_tensorflow()
    if FLAGS.worker in OPTIMIZERS:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({OPTIMIZERS[FLAGS.worker]: False})
    case, run = "", None
    for line in sys.stdin:
        wanted, _, steps = line.strip().rpartition(" ")
        if run is None or wanted != case:
            name, batch, precision = wanted.split()
            case, run = wanted, trained(name, int(batch), precision)
        wall, cpu = time.perf_counter(), time.process_time()
        run(int(steps))
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


class Worker:
    """A process with one setting."""

    def __init__(self, setting: str) -> None:
        threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
        environment = {**os.environ, **threads, **quiet, **SETTINGS.get(setting, {})}
        words = [sys.executable, __file__, f"--worker={setting}"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.setting = setting
        self.process = subprocess.Popen(words, env=environment, text=True, **pipes)

    def burst(self, case: str, steps: int) -> tuple[float, float]:
        """Runs a burst, and returns its wall and CPU time in seconds."""
        print(f"{case} {steps}", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().split()
        if not answer:
            raise SystemExit(f"the process with {self.setting} stopped in {case}")
        return float(answer[0]), float(answer[1])


def bursts(case: str, workers: list[Worker]) -> tuple[int, Any]:
    """Runs bursts of a case in turns; returns their number of steps, and seconds [round, worker, wall or CPU]."""
    import numpy as np

    spent = min(worker.burst(case, 2)[1] for worker in workers)
    steps = max(1, min(200, round(2 * FLAGS.seconds / spent)))
    times: list[list[tuple[float, float]]] = []
    while len(times) < FLAGS.rounds and (len(times) < 3 or np.sum(times) < PATIENCE):
        order = workers[:: -1 if len(times) % 2 else 1]
        found = {worker.setting: worker.burst(case, steps) for worker in order}
        times.append([found[worker.setting] for worker in workers])
    return steps, np.array(times)


def ratio(values: Any) -> tuple[str, str]:
    """Returns the median, and the least and the greatest."""
    import numpy as np

    return f"{np.median(values):.2f}", f"{np.min(values):.2f} to {np.max(values):.2f}"


def measure_networks() -> Any:
    """Returns the first table."""
    import numpy as np
    import pandas as pd

    on, off = Worker("default"), Worker(OFF)
    rows = []
    try:
        for case in (
            f"{name} {batch} {precision}"
            for name in FLAGS.networks
            for batch in FLAGS.batches
            for precision in PRECISIONS
        ):
            steps, times = bursts(case, [on, off])
            milliseconds = [f"{value:.1f}" for value in np.median(times[..., 1], axis=0) / steps * 1e3]
            rows.append((*case.split(), *milliseconds, *ratio(times[:, 1, 1] / times[:, 0, 1])))
    finally:
        for worker in (on, off):
            worker.process.kill()
    columns = ["network", "batch", "precision", "ms with", "ms without", "without / with", "least to greatest"]
    return pd.DataFrame(rows, columns=columns)


def measure_settings() -> Any:
    """Returns the second table."""
    import pandas as pd

    workers = [Worker(name) for name in (*SETTINGS, *OPTIMIZERS)]
    try:
        _, times = bursts(f"{FLAGS.other} 64 float32", workers)
    finally:
        for worker in workers:
            worker.process.kill()
    rows = [
        (worker.setting, *ratio(times[:, place, 0] / times[:, 0, 0]), *ratio(times[:, place, 1] / times[:, 0, 1]))
        for place, worker in enumerate(workers)
    ]
    return pd.DataFrame(rows, columns=["setting", "wall time", "least to greatest", "CPU time", "least to greatest"])


def main(_: Any) -> None:
    """Prints both tables."""
    if FLAGS.worker:
        serve()
        return
    if FLAGS.networks:
        print(measure_networks().to_string(index=False), flush=True)
    print(f"\n{FLAGS.other}, batch 64, float32")
    print(measure_settings().to_string(index=False), flush=True)


if __name__ == "__main__":
    app.run(main)
