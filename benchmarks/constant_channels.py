"""Measures both ways to keep the constants that removed filters leave: a channel of their own, or an exact map.

    python benchmarks/constant_channels.py [--rounds=15] [--network=resnet20] [--width=1] [--batch=1] [--filters=7,8]

Half of the filters of a network are removed. Of 16, 32 and 64 filters that leaves 8, 16 and 32, and one more channel
for the constants, unless a map of the output's positions adds them (`deploy/compaction/maps.py`). The dense network,
the network with the channel and the network with the map run in turns, one burst each, in TensorFlow, LiteRT and
onnxruntime on one thread; speed-ups over the dense network are medians within rounds. The outputs are compared first.

In a second table the networks are rows of four convolutions with so many filters left, and maps are used for every
number. It says where they are faster than a channel, which is what the rule of `compact` goes by.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dlth_tf as dlth
from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tf_keras
from absl import app, flags

from dlth_tf.deploy.checks.standalone import load_onnx, load_saved_model, load_tflite
from dlth_tf.deploy.compaction import compact_and_explain
from dlth_tf.deploy.onnx_file import FILE, write_onnx
from dlth_tf.deploy.savedmodel.constant_weights import save_constant
from dlth_tf.deploy.serving import Serving
from dlth_tf.deploy.tflite.convert import write_tflite
from dlth_tf.masking import named_weights
from dlth_tf.models import build
from dlth_tf.randomness import generator

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bursts import burst, repetitions

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 15, "Bursts per network and runtime.", lower_bound=3)
flags.DEFINE_string("network", "resnet20", "Name of a network in dlth_tf.models.")
flags.DEFINE_float("width", 1.0, "Factor of the number of filters.")
flags.DEFINE_integer("batch", 1, "Images per call.", lower_bound=1)
flags.DEFINE_list(
    "filters",
    ["7", "8", "12", "15", "16", "24", "32", "48"],
    "Numbers of filters that are left in rows of convolutions.",
)

L = tf_keras.layers
RUNTIMES = ("TensorFlow", "LiteRT", "onnxruntime")
Run = Callable[[], np.ndarray]


def network() -> tf_keras.Model:
    """Builds the dense network; batch norms and biases are as after training."""
    arguments = {} if FLAGS.width == 1 else {"width": FLAGS.width}
    return trained(build(FLAGS.network, (32, 32, 3), 10, 0, arguments))


def trained(model: tf_keras.Model) -> tf_keras.Model:
    """Sets batch norms and biases to values as after training, and returns the model."""
    for name, variable in named_weights(model).items():
        if variable.shape.rank == 1:
            low, high = (0.5, 1.5) if "variance" in name or "gamma" in name else (-0.3, 0.3)
            variable.assign(generator(0, "benchmark", name).uniform(low, high, variable.shape))
    return model


def pruned() -> tf_keras.Model:
    """Removes half of the network's filters."""
    wrapped = dlth.wrap(network())
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5, granularity="filter"), remove=True)
    return dlth.strip(wrapped)


def row(filters: int) -> tf_keras.Model:
    """Builds convolutions of which so many filters are left, and as many again are removed."""
    x = inputs = L.Input((32, 32, 3))
    for number in range(4):
        x = L.ReLU()(L.BatchNormalization()(L.Conv2D(2 * filters, 3, padding="same", name=f"conv{number}")(x)))
    model = trained(tf_keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling2D()(x))))
    for number in range(4):
        kernel = model.get_layer(f"conv{number}").kernel
        kernel.assign(kernel * np.repeat([1.0, 0.0], filters).astype(np.float32))
    return model


def call(model: tf_keras.Model, runtime: str, folder: Path, images: np.ndarray) -> Run:
    """Writes a network for a runtime, and returns its call on the images."""
    if runtime == "TensorFlow":
        save_constant(model, folder, Serving(), "compact")
        serve, _ = load_saved_model(os.fspath(folder))
    elif runtime == "LiteRT":
        write_tflite(model, folder, serving=Serving(), kinds=("float32",))
        serve = load_tflite(os.fspath(folder / "float32.tflite"), 1)
    else:
        write_onnx(model, folder, Serving())
        serve = load_onnx(os.fspath(folder / FILE), 1)
    return lambda: serve({"images": images})["logits"]


def times_of(
    runtime: str, networks: dict[str, tf_keras.Model], expected: np.ndarray, images: np.ndarray
) -> dict[str, np.ndarray]:
    """Times the networks in turns; returns the milliseconds of every burst by name."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: call(model, runtime, Path(folder) / name, images) for name, model in networks.items()}
        for name in runs.keys() - {"dense"}:
            if not np.allclose(runs[name](), expected, rtol=0, atol=1e-4 * np.abs(expected).max()):
                raise RuntimeError(f"{runtime}, {name}: the outputs differ from the Keras model's")
        bursts = {name: repetitions(run) for name, run in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(FLAGS.rounds):
            for name in list(runs)[:: -1 if number % 2 else 1]:
                times[name].append(burst(runs[name], bursts[name])[0])
    return {name: np.array(values) for name, values in times.items()}


def measure(runtime: str, networks: dict[str, tf_keras.Model], expected: np.ndarray, images: np.ndarray) -> dict:
    """Returns a line of the table."""
    times = times_of(runtime, networks, expected, images)
    dense, channel, mapped = (times[name] for name in ("dense", "channel", "map"))
    return {
        "runtime": runtime,
        "dense ms": f"{np.median(dense):.3f}",
        "with a channel": f"{np.median(dense / channel):.2f}",
        "with a map": f"{np.median(dense / mapped):.2f}",
        "map over channel": f"{np.median(channel / mapped):.2f}",
    }


def measure_rows(runtime: str, images: np.ndarray) -> dict:
    """Returns a line of the table for numbers of filters: times the speed with a map over that with a channel."""
    cells = {}
    for filters in map(int, FLAGS.filters):
        sparse = row(filters)
        with mock.patch.object(importlib.import_module("dlth_tf.deploy.compaction.compact"), "MULTIPLE", 1):
            mapped = compact_and_explain(sparse, maps=True)[0]
        networks = {"channel": compact_and_explain(sparse)[0], "map": mapped}
        assert [net.get_layer("conv2").filters for net in networks.values()] == [filters + 1, filters]
        times = times_of(runtime, networks, sparse(images, training=False).numpy(), images)
        low, middle, high = np.quantile(times["channel"] / times["map"], (0.25, 0.5, 0.75))
        cells[str(filters)] = f"{middle:.2f} ({low:.2f}-{high:.2f})"
    return {"runtime": runtime, **cells}


def main(_: list[str]) -> None:
    """Measures all runtimes and prints both tables."""
    sparse = pruned()
    networks = {"dense": network(), "channel": compact_and_explain(sparse)[0]}
    networks["map"] = compact_and_explain(sparse, maps=True)[0]
    images = generator(0, "benchmark images").random((FLAGS.batch, *sparse.input_shape[1:]), np.float32)
    expected = sparse(images, training=False).numpy()
    rows = [measure(runtime, networks, expected, images) for runtime in RUNTIMES]
    print(f"\n{FLAGS.network}, half of the filters, batch {FLAGS.batch}, one thread, {FLAGS.rounds} rounds")
    print(pd.DataFrame(rows).to_string(index=False), flush=True)
    if FLAGS.filters:
        images = generator(0, "benchmark images").random((FLAGS.batch, 32, 32, 3), np.float32)
        rows = [measure_rows(runtime, images) for runtime in RUNTIMES]
        print("\nspeed with a map over that with a channel, by filters that are left (quartiles)")
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


if __name__ == "__main__":
    app.run(main)
