"""Measures memory and first call of a compact export, with constants and with variables, beside a plain one.

    python benchmarks/compact_memory.py [--megabytes=5,20,50,100] [--rounds=3]

Networks of convolutions of this size are written in all three ways. A fresh process with TensorFlow alone loads each of
them and calls it twice with one image, on one thread; the ways take turns. The first table shows how much memory the
process has gained since TensorFlow was loaded, as a multiple of the weights, and the seconds of the two calls. The
second one shows the first call of what `compact` writes at this size as a multiple of that of `plain`: the median and
the range of the rounds. All numbers of the first table are medians.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tf_keras
from absl import app, flags

from dlth_tf.deploy.savedmodel import constant_weights
from dlth_tf.deploy.savedmodel.constant_weights import save_constant
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving

FLAGS = flags.FLAGS
flags.DEFINE_list("megabytes", ["5", "20", "50", "100"], "Bytes of the weights, in millions.")
flags.DEFINE_integer("rounds", 3, "Fresh processes per network and way.", lower_bound=1)

L = tf_keras.layers
LAYERS = 16
WAYS = ("plain", "constants", "variables")
CALLED = """
import sys, time
import numpy as np
import tensorflow as tf

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

before = resident()
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
times = []
for _ in range(2):
    start = time.perf_counter()
    serve(images=tf.zeros((1, 16, 16, 3)))
    times.append(time.perf_counter() - start)
print(resident() - before, *times)
"""


def network(megabytes: float) -> tf_keras.Model:
    """Builds convolutions whose kernels take about so many million bytes."""
    filters = round((megabytes * 1e6 / 4 / 9 / LAYERS) ** 0.5)
    out = start = L.Input((16, 16, 3))
    for _ in range(LAYERS + 1):
        out = L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(out)))
    return tf_keras.Model(start, L.Dense(10)(L.GlobalAveragePooling2D()(out)))


def write(model: tf_keras.Model, way: str, folder: Path) -> None:
    """Writes the network as plain, or as compact with constants or with variables."""
    if way == "plain":
        save_plain(model, folder, Serving())
        return
    largest = constant_weights.LIMIT if way == "constants" else 0
    with mock.patch.object(constant_weights, "LARGEST", largest):
        save_constant(model, folder, Serving(), "compact")


def called(folder: Path) -> list[float]:
    """Loads and calls a SavedModel in a fresh process; returns the bytes it takes and the seconds of two calls."""
    done = subprocess.run([sys.executable, "-c", CALLED, folder], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def measure(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """Measures all ways in turns.

    Returns:
      Way -> float[rounds, 3]: memory as a multiple of the weights, and the seconds of two calls.
    """
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            write(model, way, Path(folder) / way)
        rounds = [{way: called(Path(folder) / way) for way in WAYS} for _ in range(FLAGS.rounds)]
    scale = np.array([4 * model.count_params(), 1, 1])
    return {way: np.array([found[way] for found in rounds]) / scale for way in WAYS}


def main(_: list[str]) -> None:
    """Measures all sizes and prints two tables."""
    rows, first = [], []
    for megabytes in FLAGS.megabytes:
        model = network(float(megabytes))
        found = measure(model)
        medians = {way: np.median(numbers, 0) for way, numbers in found.items()}
        cells = {way: f"{memory:.1f} x, {one:.2f} and {two:.3f} s" for way, (memory, one, two) in medians.items()}
        rows.append({"MB": megabytes, **cells})
        way = "variables" if 4 * model.count_params() > constant_weights.LARGEST else "constants"
        ratios = found[way][:, 1] / found["plain"][:, 1]
        middle, low, high = np.median(ratios), ratios.min(), ratios.max()
        first.append({"MB": megabytes, "compact": way, "over plain": f"{middle:.2f} ({low:.2f} to {high:.2f})"})
    print("\nmemory after two calls beside the weights, and the time of both calls")
    print(pd.DataFrame(rows).to_string(index=False))
    print("\nfirst call of compact over that of plain")
    print(pd.DataFrame(first).to_string(index=False), flush=True)


if __name__ == "__main__":
    app.run(main)
