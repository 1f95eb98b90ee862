"""Compares a training step of the published network with the same step in PyTorch. Needs the extra `torch`.

    python benchmarks/pytorch_step.py [--rounds=11] [--batch_size=64] [--burst=5] [--isas=native] [--isas=avx2]

The network has the size of ResNet-20, on images of 32 x 32 with one thread. Two steps: "dense" is plain training, "rst"
the transformation with 90 % of the weights under the penalty; both have momentum .9 and weight decay. Each framework
and memory format runs in a process of its own, and in every round each runs one burst, in turn. Ratios are formed
within a round: PyTorch's CPU time over ours, so above 1 we are faster; median with the 10th and 90th percentile.

One table is for all vector extensions of the processor, and one for AVX2 alone: the libraries of both frameworks
(oneDNN, MKL, PyTorch's own kernels) are told to use no more, as on a processor that has no more.

The last column is the share of the machine's matrix product (float32, 1024 x 1024, measured by the same library in the
same rounds) that the multiply-adds of forward and backward pass reach.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags

FLAGS = flags.FLAGS
# A worker of ours imports train_step, which has a flag of the same name.
flags.DEFINE_integer("rounds", 11, "bursts per variant", lower_bound=3, allow_override=True)
flags.DEFINE_integer("batch_size", 64, "images per step", lower_bound=1)
flags.DEFINE_integer("burst", 5, "steps per burst", lower_bound=1)
flags.DEFINE_multi_enum("isas", ["native", "avx2"], ["native", "avx2"], "vector extensions to measure with")
flags.DEFINE_string("worker", "", "the variant to serve in this process")

STAGES = (16, 32, 64)
MACS = 40_813_184  # of one image in the forward pass, convolutions and the last layer
PENALTY = 0.01
SPARSITY = 0.9
SIZE = 1024  # rows of the matrices
WORKERS = ("dlth_tf", "PyTorch", "PyTorch channels_last")
STEPS = ("dense", "rst")
ONE_THREAD = {
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
ISAS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}


def tensorflow_steps(batch: int, burst: int) -> dict[str, Callable[[], Any]]:
    """Returns the bursts of this package, by name, and its matrix product."""
    sys.path.insert(0, str(Path(__file__).parent))
    import train_step

    import dlth_tf as dlth

    np, tf, masking = train_step.np, train_step.tf, train_step.masking
    dense, rst = (train_step.compiled(model, 1) for model in (train_step.resnet20(), dlth.wrap(train_step.resnet20())))
    dlth.apply_ticket(rst, dlth.random_ticket(rst, SPARSITY))
    masking.install(rst, train_step.PenaltySchedule("x", PENALTY, 1, PENALTY, train_step.NEVER))
    random = np.random.default_rng(0)
    x = random.random((batch * burst, 32, 32, 3), np.float32)
    y = random.integers(0, 10, batch * burst)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch).cache().repeat()
    matrix = tf.constant(random.random((SIZE, SIZE), np.float32))

    def fit(model: Any, callbacks: list[Any]) -> None:
        model.fit(batches, epochs=1, steps_per_epoch=burst, verbose=0, callbacks=callbacks)

    return {
        "dense": lambda: fit(dense, []),
        "rst": lambda: fit(rst, [train_step.ExactSteps(train_step.NEVER)]),
        "product": lambda: tf.matmul(matrix, matrix).numpy(),
    }


def pytorch_steps(batch: int, burst: int, channels_last: bool) -> dict[str, Callable[[], Any]]:
    """Returns the bursts of PyTorch, by name, and its matrix product."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    class Unit(nn.Module):
        """Two convolutions and a shortcut."""

        def __init__(self, inputs: int, channels: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
            self.shortcut = nn.Conv2d(inputs, channels, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.norm1(self.conv1(x)))
            return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))

    def network() -> nn.Module:
        parts: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        inputs = 16
        for stage, channels in enumerate(STAGES):
            for number in range(3):
                parts.append(Unit(inputs, channels, 2 if stage and not number else 1))
                inputs = channels
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
        return nn.Sequential(*parts).to(memory_format=layout)

    x = torch.rand(batch * burst, 3, 32, 32).contiguous(memory_format=layout)
    y = torch.randint(0, 10, (batch * burst,))
    criterion = nn.CrossEntropyLoss()

    def trained(penalized: bool) -> Callable[[], None]:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4)
        weights = [weight for weight in model.parameters() if weight.ndim > 1]
        # The penalty's gradient is lambda times the weight, where the weight will be removed.
        penalties = [PENALTY * (torch.rand_like(weight) < SPARSITY) for weight in weights]

        def run() -> None:
            for images, labels in zip(x.split(batch), y.split(batch), strict=True):
                optimizer.zero_grad()
                criterion(model(images), labels).backward()
                if penalized:
                    for weight, penalty in zip(weights, penalties, strict=True):
                        weight.grad.addcmul_(weight.detach(), penalty)
                optimizer.step()

        return run

    matrix = torch.rand(SIZE, SIZE)
    return {"dense": trained(False), "rst": trained(True), "product": lambda: matrix @ matrix}


def serve(worker: str) -> None:
    """Runs the burst that each line of standard input names, and answers with its CPU time in seconds."""
    batch, burst = FLAGS.batch_size, FLAGS.burst
    steps = (
        tensorflow_steps(batch, burst)
        if worker == WORKERS[0]
        else pytorch_steps(batch, burst, channels_last=worker == WORKERS[2])
    )
    for line in sys.stdin:
        start = time.process_time()
        steps[line.strip()]()
        print(time.process_time() - start, flush=True)


def measure(isa: str) -> Any:
    """Returns a table with a row per step and framework, measured with some vector extensions (`ISAS`)."""
    import numpy as np
    import pandas as pd

    def start(name: str) -> subprocess.Popen[str]:
        words = [sys.executable, __file__, f"--worker={name}"]
        words += [f"--batch_size={FLAGS.batch_size}", f"--burst={FLAGS.burst}"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(words, env={**os.environ, **ONE_THREAD, **ISAS[isa]}, **pipes)

    workers = {name: start(name) for name in WORKERS}

    def burst(name: str, step: str) -> float:
        print(step, file=workers[name].stdin, flush=True)
        answer = workers[name].stdout.readline()
        if not answer:
            raise SystemExit(f"{name} stopped" + ("; PyTorch comes with the extra torch" if name != WORKERS[0] else ""))
        return float(answer)

    times: dict[tuple[str, str], list[float]] = {}
    try:
        for number in range(-1, FLAGS.rounds):
            for name in WORKERS[number % 3 :] + WORKERS[: number % 3]:
                for step in (*STEPS, "product"):
                    spent = burst(name, step)
                    if number >= 0:  # the first burst traces
                        times.setdefault((name, step), []).append(spent)
    finally:
        for worker in workers.values():
            worker.kill()
    rows = []
    for step in STEPS:
        own = np.array(times[WORKERS[0], step])
        for name in WORKERS:
            spent = np.array(times[name, step])
            low, middle, high = np.quantile(spent / own, (0.1, 0.5, 0.9))
            per_second = 3 * MACS * FLAGS.batch_size * FLAGS.burst / spent
            share = np.median(per_second / (SIZE**3 / np.array(times[name, "product"])))
            milliseconds = np.median(spent) / FLAGS.burst * 1e3
            rows.append(
                (step, name, f"{milliseconds:.1f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}", f"{share:.2f}")
            )
    columns = ["step", "framework", "CPU ms per step", "time / ours", "10 % to 90 %", "share of product"]
    return pd.DataFrame(rows, columns=columns)


def main(_: Any) -> None:
    """Prints the table."""
    if FLAGS.worker:
        serve(FLAGS.worker)
    else:
        for isa in FLAGS.isas:
            extensions = "AVX2 alone" if isa == "avx2" else "all vector extensions"
            print(f"network of the size of ResNet-20, batch {FLAGS.batch_size}, one thread, {extensions}")
            print(measure(isa).to_string(index=False), end="\n\n", flush=True)


if __name__ == "__main__":
    app.run(main)
