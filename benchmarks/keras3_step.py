"""Measures what the hook costs per training step in Keras 3, on each backend.

    python benchmarks/keras3_step.py [--rounds=11] [--backends=tensorflow,jax,torch] [--only=mlp] [--clock=cpu]
    python benchmarks/keras3_step.py --backends=jax,torch --clock=wall --steps=200

Prints, for each backend and network, the time of a step as a ratio to plain dense training: the median over rounds,
with the 10th and 90th percentile. It is CPU time, or with --clock=wall, for GPUs, the time that passes. In every round
each variant runs one burst of `fit`, in turn, with one thread; each ratio is formed within its round. "dense again" is
the same code as "dense": its spread is the noise.

    dense         the plain network
    rst           the transformation: penalty on 90 % of the weights
    finetune      90 % removed and kept removed
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 11, "bursts per variant", lower_bound=3)
flags.DEFINE_list("backends", ["tensorflow", "jax", "torch"], "backends of Keras, each in a process of its own")
flags.DEFINE_enum("only", None, ["mlp", "convolutions"], "the network to run; both by default")
flags.DEFINE_enum("clock", "cpu", ["cpu", "wall"], "CPU time, or for GPUs the time that passes")
flags.DEFINE_integer("steps", 20, "steps of a burst", lower_bound=1)
flags.DEFINE_bool("here", False, "run the one backend in this process")

BATCH = 64
SPARSITY = 0.9
VARIANTS = ("dense", "dense again", "rst", "finetune")
ONE_THREAD = {
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def mlp(keras: Any) -> Any:
    """Returns LeNet-300-100, 266 thousand weights."""
    layers = [keras.layers.Dense(size, name=f"fc{size}", activation="relu") for size in (300, 100)]
    return keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10, name="out")])


def convolutions(keras: Any) -> Any:
    """Returns a residual network with three stages of 16, 32 and 64 channels, for images of 16 x 16."""
    layers = keras.layers

    def unit(x: Any, channels: int, stride: int, name: str) -> Any:
        y = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False, name=f"{name}_conv1")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv2")(y)
        if stride > 1:
            x = layers.Conv2D(channels, 1, stride, use_bias=False, name=f"{name}_short")(x)
        return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))

    x = inputs = keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(x)))
    for stage, channels in enumerate((16, 32, 64)):
        x = unit(x, channels, 1 + (stage > 0), f"stage{stage}")
    return keras.Model(inputs, layers.Dense(10, name="out")(layers.GlobalAveragePooling2D()(x)))


def compiled(keras: Any, build: Any, variant: str) -> Any:
    """Builds a network with the hook of a variant."""
    import dlth_tf as dlth
    from dlth_tf import masking
    from dlth_tf.core import PenaltySchedule

    model = build(keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.keras3.SGD(1e-3, momentum=0.9, weight_decay=5e-4), loss)
    if variant in ("rst", "finetune"):
        dlth.apply_ticket(model, dlth.random_ticket(model, SPARSITY), remove=variant == "finetune")
        masking.install(model, PenaltySchedule("x", 1e-4, 5, 1.0, 0) if variant == "rst" else None)
    return model


def device() -> str:
    """Returns the name of the GPU on which the backend of this process computes, or "CPU"."""
    if os.environ["KERAS_BACKEND"] == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    if os.environ["KERAS_BACKEND"] == "jax":
        import jax

        return "CPU" if jax.default_backend() == "cpu" else jax.devices()[0].device_kind
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "CPU"


def measure(build: Any, rounds: int, steps: int) -> None:
    """Prints the table of one network on the backend of this process."""
    import keras
    import numpy as np
    import pandas as pd

    models = {variant: compiled(keras, build, variant) for variant in VARIANTS}
    shape = models["dense"].inputs[0].shape[1:]
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH * steps, *shape)).astype("float32")
    y = random.integers(0, 10, BATCH * steps)
    clock = time.perf_counter if FLAGS.clock == "wall" else time.process_time
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for number in range(-1, rounds):
        turn = number % len(VARIANTS)
        for variant in VARIANTS[turn:] + VARIANTS[:turn]:
            start = clock()
            models[variant].fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
            if number >= 0:  # the first burst compiles
                times[variant].append((clock() - start) / steps * 1e3)
    dense = np.array(times["dense"])
    rows = {}
    for variant, found in times.items():
        low, middle, high = np.quantile(np.array(found) / dense, (0.1, 0.5, 0.9))
        rows[variant] = {"ms": f"{np.median(found):.2f}", "ratio": f"{middle:.3f}", "range": f"{low:.2f} to {high:.2f}"}
    what = "CPU time" if FLAGS.clock == "cpu" else f"time on {device()}"
    print(f"\n{keras.config.backend()}, {build.__name__}, {what} of a step of batch {BATCH}")
    print(pd.DataFrame(rows).T.to_string(), flush=True)


def main(_: Any) -> None:
    """Runs every backend in a process of its own."""
    if FLAGS.here:
        if os.environ["KERAS_BACKEND"] == "torch":
            import torch

            torch.set_num_threads(1)
        for build in (mlp, convolutions):
            if FLAGS.only in (None, build.__name__):
                measure(build, FLAGS.rounds, FLAGS.steps)
        return
    for backend in FLAGS.backends:
        command = [sys.executable, __file__, "--here", f"--rounds={FLAGS.rounds}", f"--steps={FLAGS.steps}"]
        command += [f"--clock={FLAGS.clock}"]
        command += [f"--only={FLAGS.only}"] if FLAGS.only else []
        subprocess.run(command, env={**os.environ, **ONE_THREAD, "KERAS_BACKEND": backend}, check=True)


if __name__ == "__main__":
    app.run(main)
