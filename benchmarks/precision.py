"""Measures the speed of mixed_bfloat16 on this CPU, and the accuracy with it.

    python benchmarks/precision.py [--rounds=9] [--models=resnet8,resnet20,resnet56] [--quick]
    python benchmarks/precision.py --data_dir=DIR [--seeds=0,1,2] [--run_dir=runs/precision]

First, the time of a training step in mixed_bfloat16 as a ratio to float32: in every round both run one burst of
`model.fit`, in turn, and the ratio is formed within the round. Prints the medians, with the 10th and 90th percentile,
of wall and of processor time. "float32 again" is the same as float32: its spread is the noise.

Then, with --data_dir, a directory with Fashion-MNIST, the accuracy: flags/fashion_mnist/resnet8/rst.flags at sparsity
.9 in both precisions with the same seeds, and so with the same tickets, initial weights and batches. Run directories
are kept under --run_dir, and complete ones are not run again. The trained weights are float32 in both, which is checked
in the saved files.

The gain depends on the CPU: the line above the table reports whether this one multiplies bfloat16 in hardware.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dlth_tf as dlth
from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras
from absl import app, flags

from dlth_tf import masking
from dlth_tf.models import build

ROOT = Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 9, "bursts per network and precision", lower_bound=3)
flags.DEFINE_list("models", ["resnet8", "resnet20", "resnet56"], "networks to time")
flags.DEFINE_boolean("quick", False, "short bursts of the first network, as a test of this script")
flags.DEFINE_string("data_dir", None, "directory with prepared Fashion-MNIST; without it no accuracy is measured")
flags.DEFINE_list("seeds", ["0", "1", "2"], "seeds of the compared runs")
flags.DEFINE_string("run_dir", "runs/precision", "parent of the run directories")

BATCH = 128
POLICIES = {"float32": "float32", "float32 again": "float32", "mixed_bfloat16": "mixed_bfloat16"}


def network(name: str, policy: str) -> tf_keras.Model:
    """Returns a compiled network with 90 % of its weights removed, computing in `policy`."""
    tf_keras.mixed_precision.set_global_policy(policy)
    model = dlth.wrap(build(name, (28, 28, 1), 10, seed=0))
    tf_keras.mixed_precision.set_global_policy("float32")
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.9), remove=True)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4), loss)
    masking.install(model)
    return model


def step_times(name: str, burst: int, rounds: int) -> pd.DataFrame:
    """Returns one row per round and precision: wall and CPU milliseconds per step, and both as ratios to float32."""
    draw = np.random.default_rng(0)
    images, labels = draw.random((4 * BATCH, 28, 28, 1), np.float32), draw.integers(0, 10, 4 * BATCH)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(BATCH).cache().repeat()
    models = {precision: network(name, policy) for precision, policy in POLICIES.items()}

    def run(model: tf_keras.Model) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        model.fit(batches, steps_per_epoch=burst, verbose=0)
        return (time.perf_counter() - wall) / burst * 1e3, (time.process_time() - cpu) / burst * 1e3

    for model in models.values():
        run(model)
    rows = []
    for _ in range(rounds):
        times = {precision: run(model) for precision, model in models.items()}
        wall, cpu = times["float32"]
        rows += [(name, precision, *both, both[0] / wall, both[1] / cpu) for precision, both in times.items()]
    return pd.DataFrame(rows, columns=["network", "precision", "ms", "cpu ms", "ratio", "cpu ratio"])


def spread(values: pd.Series) -> str:
    """Returns the median with the 10th and 90th percentile."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def table_of_times(times: pd.DataFrame) -> pd.DataFrame:
    """Returns medians over rounds, one row per network and precision."""
    groups = times.groupby(["network", "precision"], sort=False)
    medians = groups[["ms", "cpu ms"]].median().round(1)
    return medians.join(groups[["ratio", "cpu ratio"]].agg(spread))


def hardware() -> str:
    """Returns a line on the bfloat16 instructions of the processor, as reported by Linux."""
    listed = Path("/proc/cpuinfo")
    words = set(listed.read_text().split()) if listed.exists() else set()
    instructions = [name for name in ("amx_bf16", "avx512_bf16") if name in words]
    return f"bfloat16 in hardware: {', '.join(instructions) if instructions else 'unknown'}"


def accuracy(precision: str, seed: str) -> dict[str, Any]:
    """Trains the recipe, unless its run is complete, and returns its result."""
    folder = Path(FLAGS.run_dir, f"{precision}-s{seed}").resolve()
    words = [
        "--flagfile=flags/fashion_mnist/resnet8/rst.flags",
        "--sparsity=.9",
        f"--precision={precision}",
        f"--seed={seed}",
    ]
    paths = [f"--data_dir={Path(FLAGS.data_dir).resolve()}", f"--run_dir={folder}", "--verbosity=0"]
    subprocess.run([sys.executable, "-m", "dlth_tf.train", *words, *paths], cwd=ROOT, check=True)
    with np.load(folder / "weights.npz") as weights:
        kinds = {weights[name].dtype.name for name in weights.files}
    if kinds != {"float32"}:
        raise RuntimeError(f"{folder} was trained with weights of {kinds} instead of float32")
    return json.loads((folder / "result.json").read_text())


def table_of_accuracies() -> pd.DataFrame:
    """Returns test accuracy in percent and its difference, by seed."""
    rows = {}
    for seed in FLAGS.seeds:
        results = {precision: accuracy(precision, seed) for precision in ("float32", "mixed_bfloat16")}
        rows[seed] = {precision: 100 * result["test"]["accuracy_last"] for precision, result in results.items()}
    table = pd.DataFrame(rows).T.rename_axis("seed")
    table["difference"] = table["mixed_bfloat16"] - table["float32"]
    return table.round(2)


def main(_: list[str]) -> None:
    """Prints a table of times and, with data, one of accuracies."""
    names, burst, rounds = (FLAGS.models[:1], 2, 3) if FLAGS.quick else (FLAGS.models, 10, FLAGS.rounds)
    print(f"{hardware()}; batch {BATCH}, {os.environ['TF_NUM_INTRAOP_THREADS']} thread(s)")
    print(table_of_times(pd.concat([step_times(name, burst, rounds) for name in names])).to_string(), flush=True)
    if not FLAGS.data_dir:
        print("accuracy: not measured without --data_dir")
        return
    table = table_of_accuracies()
    print(f"\ntest accuracy, rst at sparsity .9, resnet8 on Fashion-MNIST\n{table.to_string()}")
    if len(table) > 1:
        gap = table["difference"]
        print(f"difference {gap.mean():.2f} points on average, standard error {gap.std(ddof=1) / len(gap) ** 0.5:.2f}")


if __name__ == "__main__":
    app.run(main)
