"""What a sweep would do: `sweep --dry_run`, and with --calibrate how long that takes on this machine."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import tf_keras

from dlth_tf import data as data_room
from dlth_tf import masking
from dlth_tf.console import print_table
from dlth_tf.data import BatchFormat, BatchOrder, evaluation_batches, train_batches
from dlth_tf.masking.keras2.optimizers import SGD
from dlth_tf.masking.macs import kernel_positions, training_macs
from dlth_tf.methods import METHODS, Phase
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.evaluation import Evaluator, cross_entropy
from dlth_tf.runs.plan import epochs_of, make_phases, make_recipe
from dlth_tf.runs.runner import prepare, prepare_network
from dlth_tf.runs.shared_training import of_the_whole_network

WARM_UP, MEASURED = 2, 5  # executions of the training step


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: its phases, and what its network costs.

    Attributes:
      config: of the run.
      phases: of its method.
      examples: number of training images.
      macs: multiply-adds of training on one image if nothing were sparse.
    """

    config: RunConfig
    phases: tuple[Phase, ...]
    examples: int
    macs: int

    @property
    def steps(self) -> int:
        """Optimizer steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def images(self) -> int:
        """Images seen in all phases."""
        return sum(phase.steps * phase.batch_size for phase in self.phases)

    @property
    def epochs(self) -> int:
        """Evaluations: one at the end of each epoch of each phase."""
        return sum(epochs_of(phase, self.examples) for phase in self.phases)


def plan_runs(grid: Sequence[RunConfig]) -> list[PlannedRun]:
    """Lays out the runs of a sweep; each network is built once, and nothing is trained or written."""
    known: dict[Any, int] = {}
    found = []
    outline = data_room.outline(grid[0].dataset, grid[0].data_dir)
    with machine(grid[0]) as strategy, strategy.scope():
        for config in grid:
            if network_of(config) not in known:
                _, model = prepare_network(config, outline)
                known[network_of(config)], _ = training_macs(model, kernel_positions(model, outline.image_shape), {})
            phases = make_phases(config, make_recipe(config, outline.examples))
            found.append(PlannedRun(config, tuple(phases), outline.examples, known[network_of(config)]))
    return found


def network_of(config: RunConfig) -> tuple[Any, ...]:
    """What the size of a run's network depends on, within a sweep."""
    return config.model, config.model_args, config.sparsity if METHODS.load(config.method).narrows else None


def table(runs: Sequence[PlannedRun]) -> pd.DataFrame:
    """One row per method, and one of all: runs, steps, images, multiply-adds if nothing were sparse."""
    rows = [
        {
            "method": name,
            "runs": 1,
            "steps": run.steps,
            "images": run.images,
            "dense_macs": float(run.macs) * run.images,
        }
        for run in runs
        for name in (run.config.method, "all")
    ]
    frame = pd.DataFrame(rows).groupby("method", sort=False).sum().reset_index()
    return pd.concat([frame[frame["method"] != "all"], frame[frame["method"] == "all"]], ignore_index=True)


def shared_images(runs: Sequence[PlannedRun]) -> int:
    """Images that need not be seen again, since another run of the sweep begins with the same training."""
    seen: set[Any] = set()
    saved = 0
    for run in runs:
        first = run.phases[0]
        if not run.config.shared_dir or not of_the_whole_network(first) or METHODS.load(run.config.method).narrows:
            continue
        key = (run.config.seed, run.config.model_args, first.name, first.steps, first.batch_size, first.learning_rate)
        saved += first.steps * first.batch_size if key in seen else 0
        seen.add(key)
    return saved


def print_plan(grid: Sequence[RunConfig], parallel: int, calibrate: bool) -> None:
    """Prints the table, and with `calibrate` how long the sweep would take here.

    Args:
      grid: the runs.
      parallel: runs at a time.
      calibrate: whether to measure; needs the data.
    """
    runs = plan_runs(grid)
    frame = table(runs)
    shown = frame.assign(**{name: frame[name].map("{:,}".format) for name in ("runs", "steps", "images")})
    print_table(shown.assign(dense_macs=frame["dense_macs"].map("{:.3g}".format)))
    saved = shared_images(runs)
    if saved:
        print(f"runs that begin with the same training make it once: {saved:,} images less")
    if calibrate:
        seconds = estimate(runs)
        at_once = f" with {parallel} runs at a time" if parallel > 1 else ""
        print(
            f"about {seconds / 3600 / parallel:.2g} hours on this machine{at_once} (from steps and evaluations measured just now)"
        )


@dataclass(frozen=True)
class Speed:
    """Seconds of a run's set-up, of the compilation of a phase's step, of a step, and of an evaluation."""

    set_up: float
    compilation: float
    step: float
    evaluation: float


def estimate(runs: Sequence[PlannedRun]) -> float:
    """Seconds that the runs take one after the other on this machine, from a few measured steps of each kind."""
    measured: dict[Any, Speed] = {}
    total = 0.0
    for run in runs:
        speed = None
        for phase in run.phases:
            key = (*network_of(run.config), phase.batch_size)
            if key not in measured:
                measured[key] = measure(run.config, phase.batch_size)
            speed = measured[key]
            total += speed.compilation + phase.steps * speed.step + epochs_of(phase, run.examples) * speed.evaluation
        total += speed.set_up if speed else 0.0
    return total


def measure(config: RunConfig, batch_size: int) -> Speed:
    """Measures a configuration's network on its data."""
    began = time.perf_counter()
    with machine(config) as strategy, strategy.scope():
        data, normalization, recipe, model = prepare(config)
        splits = {"val": data.validation, "test": data.test}
        evaluator = Evaluator(
            model,
            {
                name: evaluation_batches(split, BatchFormat(normalization, dtype=config.weight_dtype))
                for name, split in splits.items()
            },
        )
        evaluator()
        set_up = time.perf_counter() - began
        steps = min(config.steps_per_execution, len(data.train.labels) // batch_size)
        model.compile(
            SGD(0.01, momentum=recipe.momentum, weight_decay=recipe.weight_decay),
            cross_entropy,
            metrics=["accuracy"],
            steps_per_execution=steps,
            jit_compile=config.jit_compile,
        )
        batches = train_batches(
            data.train,
            BatchOrder(batch_size, config.seed, "calibrate"),
            BatchFormat(
                normalization,
                config.augment or data.augment,
                config.weight_dtype,
                data.num_classes,
                data.value_range,
            ),
        )
        clock = _Clock()
        model.fit(batches, epochs=1, steps_per_epoch=steps * (WARM_UP + MEASURED), verbose=0, callbacks=[clock])
        evaluating = time.perf_counter()
        evaluator()
        return Speed(set_up, clock.first(), clock.seconds() / steps, time.perf_counter() - evaluating)


class _Clock(tf_keras.callbacks.Callback):
    """The median time between executions of the training step."""

    _supports_tf_logs = True

    def __init__(self) -> None:
        super().__init__()
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Notes the time once the step's work is done."""
        int(masking.inner_optimizer(self.model).iterations.numpy())
        self.times.append(time.perf_counter())

    def first(self) -> float:
        """Of the first execution, which compiles the step."""
        return self.times[1] - self.times[0]

    def seconds(self) -> float:
        """Of one execution."""
        return statistics.median(later - earlier for earlier, later in itertools.pairwise(self.times[WARM_UP:]))
