"""Measures the memory that a compact export takes once it is loaded and called, with constants and with variables.

    python benchmarks/compact_memory.py [--megabytes=5,20,50,100]

Networks of convolutions of this size are written both ways. A fresh process with TensorFlow alone loads each of them
and calls it twice with one image, on one thread. The table shows how much memory the process has gained since
TensorFlow was loaded, as a multiple of the weights, and the time of the two calls.
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

import pandas as pd
import tf_keras
from absl import app, flags

from dlth_tf.deploy.savedmodel import constant_weights
from dlth_tf.deploy.savedmodel.constant_weights import save_constant
from dlth_tf.deploy.serving import Serving

FLAGS = flags.FLAGS
flags.DEFINE_list("megabytes", ["5", "20", "50", "100"], "Bytes of the weights, in millions.")

L = tf_keras.layers
LAYERS = 16
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


def measure(model: tf_keras.Model, largest: int) -> str:
    """Writes the network, with constants up to so many bytes, and measures it in a fresh process."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(constant_weights, "LARGEST", largest):
        save_constant(model, Path(folder), Serving(), "compact")
        done = subprocess.run([sys.executable, "-c", CALLED, folder], capture_output=True, text=True, check=True)
    gained, first, second = map(float, done.stdout.split())
    return f"{gained / (4 * model.count_params()):.1f} x, {first:.2f} and {second:.3f} s"


def main(_: list[str]) -> None:
    """Measures all sizes and prints one table."""
    rows = []
    for megabytes in FLAGS.megabytes:
        model = network(float(megabytes))
        rows.append(
            {"MB": megabytes, "constants": measure(model, constant_weights.LIMIT), "variables": measure(model, 0)}
        )
    print("\nmemory after two calls beside the weights, and the time of both calls")
    print(pd.DataFrame(rows).to_string(index=False), flush=True)


if __name__ == "__main__":
    app.run(main)
