"""Dry run of a sweep (`sweep --dry_run`), and with --calibrate an estimate of its duration on this machine."""

from __future__ import annotations

import contextlib
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
from dlth_tf.masking.keras2.optimizers import SGD
from dlth_tf.masking.macs import kernel_positions, training_macs
from dlth_tf.methods import METHODS, Phase
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.evaluation import LOSSES, Evaluator
from dlth_tf.runs.inputs import check_outline
from dlth_tf.runs.network import prepare_network
from dlth_tf.runs.plan import evaluations_of, make_phases, make_recipe
from dlth_tf.runs.runner import prepare
from dlth_tf.sweeps.order import shared_start

WARM_UP = 2  # executions of the training step
MEASURED = 5


@dataclass(frozen=True)
class RunPlan:
    """The size of one run of a sweep.

    Attributes:
      config: Configuration of the run.
      phases: Phases of its method.
      examples: Number of training images.
      macs: Multiply-adds of training the dense network on one image.
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
        """Training images seen in all phases."""
        return sum(phase.steps * phase.batch_size for phase in self.phases)


def plan_runs(grid: Sequence[RunConfig]) -> list[RunPlan]:
    """Plans the runs of a sweep without training or writing anything; each network is built once."""
    macs: dict[Any, int] = {}
    plans = []
    outline = data_room.outline(grid[0].dataset, grid[0].data_dir, grid[0].targets)
    with machine(grid[0]) as strategy, strategy.scope():
        for config in grid:
            check_outline(config, outline)
            key = network_key(config)
            if key not in macs:
                _, model = prepare_network(config, outline)
                macs[key], _ = training_macs(model, kernel_positions(model, outline.image_shape), {})
            phases = make_phases(config.method, make_recipe(config, outline.examples))
            plans.append(RunPlan(config, tuple(phases), outline.examples, macs[key]))
    return plans


def network_key(config: RunConfig) -> tuple[Any, ...]:
    """Returns the values that the size of a network depends on within a sweep."""
    return config.model, config.model_args, config.sparsity if METHODS.load(config.method).narrows else None


def table(plans: Sequence[RunPlan]) -> pd.DataFrame:
    """Returns one row per method and one for the sweep: runs, steps, examples, multiply-adds of the dense network."""
    rows = [
        {
            "method": name,
            "runs": 1,
            "steps": plan.steps,
            "examples": plan.images,
            "dense_macs": float(plan.macs) * plan.images,
        }
        for plan in plans
        for name in (plan.config.method, "all")
    ]
    frame = pd.DataFrame(rows).groupby("method", sort=False).sum().reset_index()
    return pd.concat([frame[frame["method"] != "all"], frame[frame["method"] == "all"]], ignore_index=True)


def shared_images(plans: Sequence[RunPlan]) -> int:
    """Returns the number of images that are saved because runs start with the same training."""
    seen: set[Any] = set()
    saved = 0
    for plan in plans:
        first = plan.phases[0]
        key = shared_start(plan.config, first)
        if key is not None:
            saved += first.steps * first.batch_size if key in seen else 0
            seen.add(key)
    return saved


def print_plan(grid: Sequence[RunConfig], parallel: int, calibrate: bool) -> None:
    """Prints the table of a sweep, and with `calibrate` how long it would take on this machine.

    Args:
      grid: Configurations of all runs.
      parallel: Number of concurrent runs.
      calibrate: Whether to measure the steps, which requires the data.
    """
    plans = plan_runs(grid)
    frame = table(plans)
    shown = frame.assign(**{name: frame[name].map("{:,}".format) for name in ("runs", "steps", "examples")})
    print_table(shown.assign(dense_macs=frame["dense_macs"].map("{:.3g}".format)))
    saved = shared_images(plans)
    if saved:
        print(f"runs that start with the same training share it: {saved:,} fewer examples")
    if calibrate:
        hours = estimate(plans) / 3600 / parallel
        concurrent = f" with {parallel} concurrent runs" if parallel > 1 else ""
        print(f"about {hours:.2g} hours on this machine{concurrent} (from steps and evaluations measured just now)")


@dataclass(frozen=True)
class Speed:
    """Measured times of a network, in seconds.

    Attributes:
      set_up: Set-up of a run.
      compilation: Compilation of the training step of a phase.
      step: One optimizer step.
      evaluation: One evaluation on validation and test data.
    """

    set_up: float
    compilation: float
    step: float
    evaluation: float


def estimate(plans: Sequence[RunPlan]) -> float:
    """Estimates the seconds that the runs take one after another, from a few measured steps of each network."""
    measured: dict[Any, Speed] = {}
    total = 0.0
    for plan in plans:
        speed = None
        for phase in plan.phases:
            key = (*network_key(plan.config), phase.batch_size)
            if key not in measured:
                measured[key] = measure(plan.config, phase.batch_size)
            speed = measured[key]
            evaluations = evaluations_of(phase, plan.examples, plan.config.evaluate_every)
            total += speed.compilation + phase.steps * speed.step + evaluations * speed.evaluation
        total += speed.set_up if speed else 0.0
    return total


def measure(config: RunConfig, batch_size: int) -> Speed:
    """Measures the network of a configuration on its data."""
    began = time.perf_counter()
    with machine(config) as strategy, strategy.scope(), contextlib.ExitStack() as reading:
        inputs, recipe, model = prepare(config)
        reading.enter_context(data_room.broken_images_named(inputs.data))
        evaluator = Evaluator(model, inputs.evaluation(), config.measure)
        evaluator()
        set_up = time.perf_counter() - began
        steps = min(config.steps_per_execution, inputs.examples // batch_size)
        model.compile(
            SGD(0.01, momentum=recipe.momentum, weight_decay=recipe.weight_decay),
            LOSSES[config.task],
            metrics=[config.measure.name],
            steps_per_execution=steps,
            jit_compile=config.jit_compile,
        )
        batches = inputs.training("calibrate", batch_size)
        timer = _Timer()
        model.fit(batches, epochs=1, steps_per_epoch=steps * (WARM_UP + MEASURED), verbose=0, callbacks=[timer])
        evaluating = time.perf_counter()
        evaluator()
        return Speed(set_up, timer.first(), timer.seconds() / steps, time.perf_counter() - evaluating)


class _Timer(tf_keras.callbacks.Callback):
    """Measures the time between executions of the training step."""

    _supports_tf_logs = True

    def __init__(self) -> None:
        super().__init__()
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Notes the time once the work of the step is done."""
        masking.steps_made(self.model)
        self.times.append(time.perf_counter())

    def first(self) -> float:
        """Returns the seconds of the first execution, which compiles the step."""
        return self.times[1] - self.times[0]

    def seconds(self) -> float:
        """Returns the median seconds of one execution after the warm-up."""
        return statistics.median(later - earlier for earlier, later in itertools.pairwise(self.times[WARM_UP:]))
