"""Compares a finetune step of the compact network (--finetune=compact) with one of the masked network.

    python benchmarks/compact_finetune.py [--rounds=11] [--only=VGG] [--batch_size=64] [--burst=4] [--width=1]

VGG-16 and ResNet-56 for images of 32 x 32, with 50 % of the filters removed (of ResNet-56, of the inner convolution of
each block). In every round each variant runs one burst of `model.fit`, in turn, in this process and with one thread;
ratios are formed within a round: the time of the masked step over the other, so above 1 the other is faster; median
with the 10th and 90th percentile. "masked again" is the same code as "masked": its spread is the noise.

    masked    the whole network, with the zeros of removed filters
    compact   the network that a phase trains with --finetune=compact

The last lines give the seconds that the way into the compact network and back takes, once in a phase, and per epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dlth_tf as dlth
from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras
from absl import app, flags

from dlth_tf import masking
from dlth_tf.deploy.compaction import compact_by_masks
from dlth_tf.models import build
from dlth_tf.runs.compact_phase import CompactNetwork

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 11, "bursts per variant", lower_bound=3)
flags.DEFINE_string("only", "", "part of the name of the network to run")
flags.DEFINE_integer("batch_size", 64, "images per step", lower_bound=1)
flags.DEFINE_integer("burst", 4, "steps per burst", lower_bound=1)
flags.DEFINE_float("width", 1.0, "width of the networks", lower_bound=0.01)

SPARSITY = 0.5
NETWORKS = {"VGG-16": "vgg16", "ResNet-56": "resnet56"}


def compiled(model: tf_keras.Model, masked: bool) -> tf_keras.Model:
    """Compiles `model` with the published optimizer, and the masks in its step if there are any."""
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4), loss)
    if masked:
        masking.install(model)
    return model


def ticketed(network: str) -> tf_keras.Model:
    """Returns a wrapped network with half of its filters removed."""
    model = dlth.wrap(build(network, (32, 32, 3), 10, 0, {"width": FLAGS.width}))
    dlth.apply_ticket(model, dlth.random_ticket(model, SPARSITY, granularity="filter"), remove=True)
    return model


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def measure(network: str) -> tuple[pd.DataFrame, str]:
    """Returns the ratios to the masked network, and a sentence about the way into the compact one and back."""
    masked = {name: compiled(ticketed(network), True) for name in ("masked", "masked again")}
    whole = ticketed(network)
    masks = {name: entry.kept() for name, entry in masking.prunable_weights(whole).items()}
    there, compact = timed(lambda: CompactNetwork(whole, *compact_by_masks(masking.strip(whole), masks)))
    back, _ = timed(compact.write_back)
    models = {**masked, "compact": compiled(compact.model, compact.has_masks)}
    random = np.random.default_rng(0)
    images = random.random((FLAGS.batch_size * FLAGS.burst, 32, 32, 3), np.float32)
    labels = random.integers(0, 10, len(images))
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(FLAGS.batch_size).cache().repeat()

    def burst(model: tf_keras.Model) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        model.fit(batches, epochs=1, steps_per_epoch=FLAGS.burst, verbose=0)
        return (time.perf_counter() - wall) / FLAGS.burst * 1e3, (time.process_time() - cpu) / FLAGS.burst * 1e3

    for model in models.values():
        burst(model)
    rows = []
    for number in range(FLAGS.rounds):
        names = list(models)[number % len(models) :] + list(models)[: number % len(models)]
        times = {name: burst(models[name]) for name in names}
        first, first_cpu = times["masked"]
        rows += [(name, *times[name], first / times[name][0], first_cpu / times[name][1]) for name in models]
    left = f"{compact.places.left:,} of {compact.places.whole:,} weights"
    sentence = f"compact: {left}; {there:.1f} s into it, once, and {back * 1e3:.0f} ms back, at each epoch"
    return summarize(pd.DataFrame(rows, columns=["variant", "ms", "cpu_ms", "ratio", "cpu_ratio"])), sentence


def summarize(times: pd.DataFrame) -> pd.DataFrame:
    """Returns the median and the 10th to 90th percentile of the ratios of each variant."""
    groups = times.groupby("variant", sort=False)
    spread = groups["ratio"].quantile([0.1, 0.9]).unstack()
    return pd.DataFrame(
        {
            "ms per step": groups["ms"].median().round(1),
            "times as fast": groups["ratio"].median().round(2),
            "10 % to 90 %": [f"{low:.2f} to {high:.2f}" for low, high in spread.to_numpy()],
            "by CPU time": groups["cpu_ratio"].median().round(2),
        }
    )


def main(_: list[str]) -> None:
    """Measures the networks and prints a table for each."""
    for name, network in NETWORKS.items():
        if FLAGS.only in name:
            tf_keras.backend.clear_session()
            frame, sentence = measure(network)
            print(
                f"\n{name}, 50 % of the filters, batch {FLAGS.batch_size}\n{frame.to_string()}\n{sentence}", flush=True
            )


if __name__ == "__main__":
    app.run(main)
