"""What does it take to choose the ticket of a large network?

    python benchmarks/masks.py [--rounds=5] [--quick]

Prints, for each way to choose a ticket of ResNet-50's kernels (25.5 million weights, 102 MB in float32; 90 % removed), the time
and the memory that it takes beside the weights, as a multiple of theirs; the masks that come out, a quarter of it, are counted.
Every figure is the median over rounds, with the smallest and the largest; every round of every case is a process of its own, on
one core, so that a process' peak is that of one case. The aim is at most 2 s and 3 times the weights. No TensorFlow is loaded.

    random     uniformly random scores, from one Philox stream per tensor
    magnitude  |w|
    uniform    the same sparsity in every tensor; erk: denser where a tensor is small; global: one threshold for all
"""

from __future__ import annotations

import concurrent.futures
import functools
import math
import multiprocessing
import os
import resource
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from absl import app, flags

from dlth_tf import scores
from dlth_tf.core import PruningSpec, choose_masks, choose_random
from dlth_tf.core.ticket import Ticket

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 5, "processes per case", lower_bound=1)
flags.DEFINE_bool("quick", False, "one round on a network of a quarter of the width")

SPARSITY, SEED = 0.9, 0
CASES = [(pick, allocation) for pick in ("random", "magnitude") for allocation in ("uniform", "erk", "global")]
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in ru_maxrss


def kernels(width: float = 1.0) -> dict[str, tuple[int, ...]]:
    """Shapes of ResNet-50's 54 kernels (He et al., CVPR 2016, table 1), all channels but the outputs times `width`."""
    stem = int(64 * width)
    shapes: dict[str, tuple[int, ...]] = {"conv1/kernel": (7, 7, 3, stem)}
    channels = stem
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner = stem * 2**stage
        for block in range(blocks):
            name = f"stage{stage + 1}_{block + 1}"
            shapes[f"{name}_conv1/kernel"] = (1, 1, channels, inner)
            shapes[f"{name}_conv2/kernel"] = (3, 3, inner, inner)
            shapes[f"{name}_conv3/kernel"] = (1, 1, inner, 4 * inner)
            if not block:
                shapes[f"{name}_shortcut/kernel"] = (1, 1, channels, 4 * inner)
            channels = 4 * inner
    return {**shapes, "fc/kernel": (channels, 1000)}


def choose(pick: str, allocation: str, weights: dict[str, np.ndarray]) -> Ticket:
    """The ticket of one case, by what `dlth_tf.random_ticket` and `dlth_tf.magnitude_ticket` call."""
    if pick == "random":
        shapes = {name: weight.shape for name, weight in weights.items()}
        return Ticket.from_masks(
            choose_random(shapes, functools.partial(scores.random, seed=SEED), PruningSpec.parse(SPARSITY, allocation))
        )
    return Ticket.from_masks(choose_masks(scores.magnitude(weights), PruningSpec.parse(SPARSITY, allocation)))


def measure(pick: str, allocation: str, width: float) -> tuple[float, float, float]:
    """One case in this process: seconds, CPU seconds, and peak memory beside the weights in multiples of theirs."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    random = np.random.default_rng(SEED)
    weights = {name: random.standard_normal(shape, np.float32) for name, shape in kernels(width).items()}
    size = sum(weight.nbytes for weight in weights.values())
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    ticket = choose(pick, allocation, weights)
    wall, cpu, after = time.perf_counter() - wall, time.process_time() - cpu, _peak()
    if abs(ticket.sparsity - SPARSITY) > 1e-3:
        raise RuntimeError(f"{pick}, {allocation}: removed {ticket.sparsity:.4f} instead of {SPARSITY}")
    return wall, cpu, (after - before) / size


def _peak() -> int:
    """The most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT


def measure_all(rounds: int, width: float) -> pd.DataFrame:
    """One row per round and case, each from a fresh process; cases take turns, so what else the machine does hits all alike."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:
        rows = [(*case, *fresh.submit(measure, *case, width).result()) for _ in range(rounds) for case in CASES]
    return pd.DataFrame(rows, columns=["pick", "allocation", "seconds", "CPU seconds", "times the weights"])


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Median (smallest to largest) of each figure."""

    def spread(values: pd.Series) -> str:
        return f"{values.median():.2f} ({values.min():.2f} to {values.max():.2f})"

    return rows.groupby(["pick", "allocation"], sort=False).agg(spread)


def main(_: list[str]) -> None:
    """Measures all cases and prints a table."""
    rounds, width = (1, 0.25) if FLAGS.quick else (FLAGS.rounds, 1.0)
    weights = sum(math.prod(shape) for shape in kernels(width).values())
    print(
        f"\n{weights / 1e6:.1f} million weights in {len(kernels())} kernels, {SPARSITY:.0%} removed; median (smallest to largest)"
    )
    print(summarise(measure_all(rounds, width)).to_string(), flush=True)


if __name__ == "__main__":
    app.run(main)
