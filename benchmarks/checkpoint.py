"""Measures the size and the time of a checkpoint, and the cost per step of checking for one.

    python benchmarks/checkpoint.py [--rounds=9] [--quick]

Prints, for each network with 90 % of its weights removed: the bytes of a checkpoint (weights, masks and tickets,
momentum); the time to write one to the disk; that time as a share of training with one checkpoint every 5 minutes (the
default); and the CPU time of a training step with a `CheckpointCallback` as a ratio to one without, in a burst in which
no checkpoint is due. Medians over rounds, with the smallest and the largest; each ratio is formed within its round.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dlth_tf as dlth
from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras
from absl import app, flags

from dlth_tf import files, masking, models
from dlth_tf.methods import LearningRate, Network, Phase
from dlth_tf.runs.checkpointing.callback import CheckpointCallback
from dlth_tf.runs.checkpointing.files import CheckpointFiles
from dlth_tf.runs.checkpointing.interval import CheckpointInterval
from dlth_tf.runs.checkpointing.manager import CheckpointManager
from dlth_tf.runs.config import RunConfig

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 9, "checkpoints and bursts per network", lower_bound=1)
flags.DEFINE_bool("quick", False, "two rounds of short bursts of small batches")

DEFAULT_SECONDS = 300
EXECUTION = 20
NETWORKS = {"lenet_300_100": ((28, 28, 1), 400), "resnet20": ((32, 32, 3), 20)}  # image shape, steps of a burst
ENDLESS = Phase("finetune", 10**9, 128, LearningRate((0.01,)))


def network(name: str) -> tf_keras.Model:
    """Returns a sparse and compiled network, as in a finetune."""
    model = dlth.wrap(models.build(name, NETWORKS[name][0], 10, seed=0))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.9, 0), remove=True)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.optimizers.SGD(0.01, momentum=0.9), loss, steps_per_execution=EXECUTION)
    masking.install(model)  # once: every KeepMask would trace again
    return model


def manager(model: tf_keras.Model, name: str, folder: Path) -> CheckpointManager:
    """Returns a writer of checkpoints of the model into an empty run directory."""
    config = RunConfig(method="rst", dataset="digits", model=name, sparsity=0.9, run_dir=str(folder))
    files.write_json(folder / "config.json", {"config": config.to_json()})
    saved = Network(model, recipe=None, initial={}, inputs=None, evaluate=dict)
    return CheckpointManager(saved, CheckpointFiles(folder / "checkpoints"), CheckpointInterval(5, "min"))


def burst(model: tf_keras.Model, batches: tf.data.Dataset, steps: int, callbacks: list[Any]) -> float:
    """Returns the CPU seconds per step of one burst, over all threads; less sensitive to other load than wall time."""
    began = time.process_time()
    model.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=callbacks)
    return (time.process_time() - began) / steps


def measured(name: str, rounds: int, quick: bool) -> dict[str, str]:
    """Returns one row of the table."""
    shape, steps = NETWORKS[name]
    batch, steps = (8, EXECUTION) if quick else (128, steps)
    model = network(name)
    draw = np.random.default_rng(0)
    data = draw.standard_normal((batch, *shape)).astype(np.float32), draw.integers(0, 10, batch)
    batches = tf.data.Dataset.from_tensors(data).repeat()
    times, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        writer = manager(model, name, Path(folder))
        saver = CheckpointCallback(ENDLESS, steps, writer)
        burst(model, batches, steps, [])  # traces
        for _ in range(rounds):
            without = burst(model, batches, steps, [])
            ratios.append(burst(model, batches, steps, [saver]) / without)
            began = time.perf_counter()
            writer.save([])
            times.append(time.perf_counter() - began)
        newest = max(Path(folder, "checkpoints").glob("*.npz"))
        size = sum(newest.with_suffix(ending).stat().st_size for ending in (".json", ".npz"))
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    return {
        "network": name,
        "weights": f"{weights:,}",
        "bytes": f"{size:,.0f}",
        "bytes per weight": f"{size / weights:.2f}",
        "seconds": spread(times, "{:.3f}"),
        "share of 5 min": f"{np.median(times) / DEFAULT_SECONDS:.3%}",
        "step with / without": spread(ratios, "{:.2f}"),
    }


def spread(values: list[float], form: str) -> str:
    """Returns the median with the smallest and the largest value."""
    return f"{form} ({form} to {form})".format(np.median(values), min(values), max(values))


def main(_: list[str]) -> None:
    """Measures and prints the table."""
    rounds = 2 if FLAGS.quick else FLAGS.rounds
    print(pd.DataFrame([measured(name, rounds, FLAGS.quick) for name in NETWORKS]).to_string(index=False))


if __name__ == "__main__":
    app.run(main)
