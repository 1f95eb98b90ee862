"""Measures the cost of the wrapper, the penalty and the masks per training step.

    python benchmarks/train_step.py [--rounds=15] [--only=lenet]

Prints, for each network, the time of a step as a ratio to plain dense training: the median over rounds, with the 10th
and 90th percentile. In every round each variant runs one burst of `model.fit`, in turn, in this process; each ratio is
formed within its round, so that other load on the machine affects all variants alike. "dense again" is the same code as
"dense": its spread is the noise.

    dense         the plain network
    stock tf-mot  prune_low_magnitude with ConstantSparsity, and UpdatePruningStep
    rst           the transformation: penalty on 90 % of the weights
    finetune      90 % removed and kept removed
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dlth_tf as dlth
from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from absl import app, flags

from dlth_tf import masking
from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.core import PenaltySchedule
from dlth_tf.models import build

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 15, "bursts per variant", lower_bound=3)
flags.DEFINE_string("only", "", "part of the name of the case to run")

BATCH = 64
SPARSITY = 0.9
NEVER = 10**9


def resnet20() -> tf_keras.Model:
    """Returns a network of the size of ResNet-20 (0.27 M weights, 41 M multiply-adds per 32x32 image)."""
    layers = tf_keras.layers

    def unit(x: Any, channels: int, stride: int, name: str) -> Any:
        y = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False, name=f"{name}_conv1")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(
            layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv2")(y)
        )
        if stride > 1:
            x = layers.Conv2D(channels, 1, stride, use_bias=False, name=f"{name}_shortcut")(x)
        return layers.ReLU()(layers.Add()([x, y]))

    x = inputs = tf_keras.Input((32, 32, 3))
    x = layers.ReLU()(
        layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1")(x))
    )
    for stage, channels in enumerate((16, 32, 64)):
        for number in range(3):
            x = unit(x, channels, 2 if stage and not number else 1, f"stage{stage + 1}_{number + 1}")
    return tf_keras.Model(inputs, layers.Dense(10, name="fc")(layers.GlobalAveragePooling2D()(x)))


def lenet() -> tf_keras.Model:
    """Returns LeNet-300-100 for 28x28 images."""
    return build("lenet_300_100", (28, 28, 1), 10, seed=0)


def compiled(model: tf_keras.Model, steps_per_execution: int) -> tf_keras.Model:
    """Compiles `model` with the published optimizer, and returns it."""
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        dlth.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4), loss, steps_per_execution=steps_per_execution
    )
    return model


def variants(
    network: Callable[[], tf_keras.Model], steps_per_execution: int
) -> dict[str, tuple[tf_keras.Model, list[Any]]]:
    """Returns name -> (compiled model, callbacks of every burst).

    The work of callbacks at the start of a phase (installing the hook, tracing) is done once here; their work per batch
    stays in the bursts.
    """
    stock = tfmot.sparsity.keras.prune_low_magnitude(network(), tfmot.sparsity.keras.ConstantSparsity(SPARSITY, 0))
    rst, finetune = dlth.wrap(network()), dlth.wrap(network())
    for model, removed in ((rst, False), (finetune, True)):
        compiled(model, steps_per_execution)
        dlth.apply_ticket(model, dlth.random_ticket(model, SPARSITY), remove=removed)
    masking.install(rst, PenaltySchedule())
    masking.install(finetune)
    return {
        "dense": (compiled(network(), steps_per_execution), []),
        "dense again": (compiled(network(), steps_per_execution), []),
        "stock tf-mot": (compiled(stock, steps_per_execution), [tfmot.sparsity.keras.UpdatePruningStep()]),
        "rst": (rst, [ExactSteps(NEVER)]),
        "finetune": (finetune, []),
    }


def measure(network: Callable[[], tf_keras.Model], steps_per_execution: int, burst: int, rounds: int) -> pd.DataFrame:
    """Returns the ratios to dense, one row per variant."""
    models = variants(network, steps_per_execution)
    shape = models["dense"][0].input_shape[1:]
    random = np.random.default_rng(0)
    images, labels = random.random((BATCH * 8, *shape), np.float32), random.integers(0, 10, BATCH * 8)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(BATCH).cache().repeat()

    def run(model: tf_keras.Model, callbacks: list[Any]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        model.fit(batches, epochs=1, steps_per_epoch=burst, verbose=0, callbacks=callbacks)
        return (time.perf_counter() - wall) / burst * 1e3, (time.process_time() - cpu) / burst * 1e3

    for model, callbacks in models.values():
        run(model, callbacks)
    rows = []
    for number in range(rounds):
        names = list(models)[number % len(models) :] + list(models)[: number % len(models)]
        times = {name: run(*models[name]) for name in names}
        rows += [
            (name, *times[name], times[name][0] / times["dense"][0], times[name][1] / times["dense"][1])
            for name in models
        ]
    return summarize(pd.DataFrame(rows, columns=["variant", "ms", "cpu_ms", "ratio", "cpu_ratio"]))


def summarize(times: pd.DataFrame) -> pd.DataFrame:
    """Returns the median and the 10th to 90th percentile of the ratios of each variant."""
    groups = times.groupby("variant", sort=False)
    spread = groups["ratio"].quantile([0.1, 0.9]).unstack()
    return pd.DataFrame(
        {
            "ms per step": groups["ms"].median().round(3),
            "ratio to dense": groups["ratio"].median().round(3),
            "10 % to 90 %": [f"{low:.3f} to {high:.3f}" for low, high in spread.to_numpy()],
            "CPU ratio": groups["cpu_ratio"].median().round(3),
        }
    )


CASES = {
    "lenet_300_100, steps_per_execution 1": (lenet, 1, 400),
    "lenet_300_100, steps_per_execution 20": (lenet, 20, 1000),
    "ResNet-20-sized, steps_per_execution 1": (resnet20, 1, 10),
}


def main(_: list[str]) -> None:
    """Runs the cases and prints a table for each."""
    for name, (network, steps_per_execution, burst) in CASES.items():
        if FLAGS.only in name:
            tf_keras.backend.clear_session()
            print(
                f"\n{name}, batch {BATCH}\n{measure(network, steps_per_execution, burst, FLAGS.rounds).to_string()}",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
