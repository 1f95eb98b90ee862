"""What does a checkpoint take, and what does looking out for one cost?

    python benchmarks/checkpoint.py [--rounds=9] [--quick]

Prints, for each network with 90 % of its weights removed, the bytes of a checkpoint (weights, masks and tickets, momentum), the
time from its beginning until it is on the disk, that time as a share of training where one is written every 5 minutes (the
default), and the CPU time of a training step with a `CheckpointCallback` on the look-out as a ratio to one without, in a burst in which no
checkpoint falls due. Medians over rounds, with the smallest and the largest; a ratio is formed within its round.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
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
from dlth_tf.runs.checkpointing.callback import CheckpointCallback, CheckpointInterval
from dlth_tf.runs.checkpointing.files import CheckpointFiles
from dlth_tf.runs.checkpointing.manager import CheckpointManager
from dlth_tf.runs.config import RunConfig

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 9, "checkpoints and bursts per network", lower_bound=1)
flags.DEFINE_bool("quick", False, "two rounds of short bursts of small batches")

DEFAULT_SECONDS, EXECUTION = 300, 20
NETWORKS = {"lenet_300_100": ((28, 28, 1), 400), "resnet20": ((32, 32, 3), 20)}  # images, steps of a burst


def network(name: str) -> tf_keras.Model:
    """Sparse and compiled, as in a finetune."""
    model = dlth.wrap(models.build(name, NETWORKS[name][0], 10, seed=0))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.9, 0), remove=True)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.optimizers.SGD(0.01, momentum=0.9), loss, steps_per_execution=EXECUTION)
    masking.install(model)  # once: every KeepMask would trace anew
    return model


def keeper(model: tf_keras.Model, name: str, folder: Path) -> CheckpointManager:
    """Writes checkpoints of the model into an empty run directory."""
    config = RunConfig(method="rst", dataset="digits", model=name, sparsity=0.9, run_dir=str(folder))
    files.write_json(folder / "config.json", {"config": config.to_json()})
    known = SimpleNamespace(model=model, initial={}, initial_changed=False, before_removal={}, after_removal={})
    return CheckpointManager(known, CheckpointFiles(folder / "checkpoints"), CheckpointInterval(5, "min"))


def burst(model: tf_keras.Model, batches: tf.data.Dataset, steps: int, callbacks: list[Any]) -> float:
    """Seconds of CPU time per step of one burst, over all threads: what else the machine does counts less there."""
    began = time.process_time()
    model.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=callbacks)
    return (time.process_time() - began) / steps


def measured(name: str, rounds: int, quick: bool) -> dict[str, str]:
    """One row of the table."""
    shape, steps = NETWORKS[name]
    batch, steps = (8, EXECUTION) if quick else (128, steps)
    model, draw = network(name), np.random.default_rng(0)
    data = draw.standard_normal((batch, *shape)).astype(np.float32), draw.integers(0, 10, batch)
    batches = tf.data.Dataset.from_tensors(data).repeat()
    times, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        writer = keeper(model, name, Path(folder))
        saver = CheckpointCallback(
            "finetune", 10**9, steps, lambda since: writer.clock.due(since, steps), lambda: writer.save([])
        )
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
    """Median, and the smallest and largest."""
    return f"{form} ({form} to {form})".format(np.median(values), min(values), max(values))


def main(_: list[str]) -> None:
    """Measures and prints the table."""
    rounds = 2 if FLAGS.quick else FLAGS.rounds
    print(pd.DataFrame([measured(name, rounds, FLAGS.quick) for name in NETWORKS]).to_string(index=False))


if __name__ == "__main__":
    app.run(main)
