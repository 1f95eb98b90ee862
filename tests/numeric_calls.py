"""A valid call of every public function, class and method that takes numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import dlth_tf as dlth
from dlth_tf import callbacks, core, data, masking, models, scores
from dlth_tf.analysis import chance, comparison, power, statistics, verdict
from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.callbacks.snapshot_at import SnapshotAt
from dlth_tf.data.disk_split import ImageFiles
from dlth_tf.data.sets import folder
from dlth_tf.export_options import ExportOptions
from dlth_tf.masking.keras2.optimizers import SGD
from tests.data.conftest import random_dataset
from tests.masking.networks import batches, compiled, mlp, wrapped

Call = tuple[Callable[..., Any], dict[str, Any]]
SHAPES = {"a/kernel": (4, 6)}
SCORES = {"a/kernel": np.arange(24.0).reshape(4, 6)}
MASKS = [{"a": np.array([True, False])}] * 3
ACCURACY = {0: 90.5, 1: 91.0, 2: 90.0}


@functools.cache
def model() -> Any:
    """The wrapped model that tickets are drawn for."""
    return dlth.wrap(mlp())


def _of_model(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **arguments: function(model(), **arguments)


@functools.cache
def _trained() -> Any:
    return compiled(wrapped(), steps_per_execution=4)


def _training(function: Callable[..., Any]) -> Callable[..., Any]:
    """Passes a compiled model, and returns what a call leaves in its counters."""

    def call(**arguments: Any) -> Any:
        function(_trained(), **arguments)
        return masking.steps_made(_trained()), masking.steps_per_execution(_trained())

    return call


def _weights() -> dict[str, Any]:
    return {name: entry.weight for name, entry in masking.prunable_weights(model()).items()}


def _synflow(**arguments: Any) -> Any:
    return scores.SynapticFlow(model(), _weights(), **arguments).score({})


def _evaluation(**arguments: Any) -> Any:
    form = data.BatchFormat(data.Normalization(1.0, (0.0,), (1.0,)))
    return [labels for _, labels in data.evaluation_batches(_digits().test, form, **arguments).as_numpy_iterator()]


@functools.cache
def _digits() -> data.DataSet:
    return random_dataset()


def _dataset(**arguments: Any) -> Any:
    return data.DataSet("mine", *(_digits().train,) * 3, _digits().label_names, **arguments).value_range


def _disk_split(**arguments: Any) -> Any:
    return data.DiskSplit(ImageFiles(["a.jpg"]), np.array([0]), np.array([0]), **arguments)


def _run(**arguments: Any) -> Any:
    required = {"dataset": "digits", "model": "lenet_300_100", "strategy": "mirrored"}
    dlth.RunConfig(method="lth_iter", **{**required, **arguments})  # reads what rst does not
    length = {name: arguments.pop(name) for name in ("transform_epochs",) if name in arguments}
    # Twice: a length replaces three of the others.
    return [dlth.RunConfig(method="rst", **required, **arguments, **more) for more in ({}, length)]


def _epochs(steps_per_epoch: Any, batch_size: Any) -> list[int]:
    transform = callbacks.RSTPenalty(**PENALTY)
    return [transform.epochs(steps_per_epoch), transform.epochs(30, batch_size=batch_size)]


RUN = {
    "seed": 3,
    "sparsity": 0.3,
    "epochs": 4,
    "batch_size": 8,
    "lr": 0.3,
    "momentum": 0.3,
    "weight_decay": 0.3,
    "penalty_step": 0.3,
    "penalty_every": 2,
    "penalty_limit": 0.9,
    "hold_steps": 5,
    "transform_epochs": 6,
    "transform_lr": 0.3,
    "transform_batch_size": 4,
    "cycles": 3,
    "round_epochs": 2,
    "rewind_step": 1,
    "steps_per_execution": 2,
    "num_replicas": 2,
    "eval_examples": 5,
    "evaluate_every": 2,
    "verbosity": 2,
}
PENALTY = {"step": 0.3, "every": 2, "limit": 0.9, "hold_steps": 5}
CALLS: dict[str, Call] = {
    "RunConfig": (_run, RUN),
    "RunConfig.penalty": (lambda **steps: _run(sparsity=0.5)[0].penalty(**steps), {"steps_per_epoch": 7}),
    "random_ticket": (_of_model(dlth.random_ticket), {"sparsity": 0.3, "seed": 3}),
    "magnitude_ticket": (_of_model(dlth.magnitude_ticket), {"sparsity": 0.3}),
    "optimizers.SGD": (
        lambda **arguments: SGD(**arguments).get_config(),
        {"learning_rate": 0.3, "momentum": 0.3, "weight_decay": 0.3},
    ),
    "callbacks.DynamicSparsity": (
        callbacks.DynamicSparsity,
        {"seed": 3, "fraction": 0.3, "every": 5, "stop": 40},
    ),
    "callbacks.EarlyBird": (
        callbacks.EarlyBird,
        {"sparsity": 0.3, "last_epoch": 4, "window": 3, "threshold": 0.3, "scale_penalty": 0.3},
    ),
    "deploy.export": (
        lambda min_agreement: ExportOptions(min_agreement=min_agreement).check(),
        {"min_agreement": 0.3},
    ),
    "callbacks.ExactSteps": (ExactSteps, {"steps": 3}),
    "callbacks.GradualMagnitude": (
        callbacks.GradualMagnitude,
        {"sparsity": 0.3, "begin": 2, "end": 40, "every": 5},
    ),
    "callbacks.IMP": (callbacks.IMP, {"sparsity": 0.3, "rounds": 3, "epochs_per_round": 2, "rewind_step": 1}),
    "callbacks.IMP.epochs": (callbacks.IMP(0.5).epochs, {"finetune": 3}),
    "callbacks.RSTPenalty": (callbacks.RSTPenalty, PENALTY),
    "callbacks.RSTPenalty.epochs": (_epochs, {"steps_per_epoch": 3, "batch_size": 8}),
    "callbacks.RSTPenalty.for_epochs": (
        callbacks.RSTPenalty.for_epochs,
        {"epochs": 3, "steps_per_epoch": 5, "limit": 0.9},
    ),
    "callbacks.RandomMask": (callbacks.RandomMask, {"sparsity": 0.3, "seed": 3}),
    "callbacks.SnapshotAt": (lambda **step: SnapshotAt(**step, take=print), {"step": 3}),
    "callbacks.StraightThrough": (callbacks.StraightThrough, {"sparsity": 0.3}),
    "core.PatternMap.after": (core.PatternMap.parse({"a": 0.3}).after, {"cycle": 2, "cycles": 3}),
    "core.PenaltySchedule": (core.PenaltySchedule, PENALTY),
    "core.PenaltySchedule.of_length": (core.PenaltySchedule.of_length, {"steps": 9, "limit": 0.9}),
    "core.PruningSpec.parse": (core.PruningSpec.parse, {"sparsity": 0.3}),
    "core.Round": (core.Round, {"number": 2, "of": 3}),
    "core.cumulative_sparsity": (core.cumulative_sparsity, {"sparsity": 0.3, "cycle": 2, "cycles": 3}),
    "core.drop_fraction": (core.drop_fraction, {"step": 2, "end": 9, "alpha": 0.3}),
    "core.erk": (functools.partial(core.erk, SHAPES), {"sparsity": 0.3}),
    "core.global_threshold": (functools.partial(core.global_threshold, SHAPES, scores=SCORES), {"sparsity": 0.3}),
    "core.has_settled": (functools.partial(core.has_settled, MASKS), {"threshold": 0.3, "window": 3}),
    "core.kept_groups": (
        functools.partial(core.kept_groups, SHAPES, core.PruningSpec.parse(0.5)),
        {"share": 0.3},
    ),
    "core.parse_sparsity": (core.parse_sparsity, {"sparsity": 0.3}),
    "core.removed_count": (core.removed_count, {"size": 24, "sparsity": 0.3}),
    "core.top_k_mask": (functools.partial(core.top_k_mask, SCORES["a/kernel"]), {"kept": 3}),
    "core.uniform": (functools.partial(core.uniform, SHAPES), {"sparsity": 0.3}),
    "data.BatchFormat": (functools.partial(data.BatchFormat, None), {"num_classes": 3, "value_range": 16}),
    "data.BatchOrder": (
        functools.partial(data.BatchOrder, purpose="x"),
        {"batch_size": 4, "seed": 3, "start": 2, "steps": 5},
    ),
    "data.DataSet": (_dataset, {"value_range": 255}),
    "data.DiskSplit": (_disk_split, {"image_shape": (4, 5, 3)}),
    "data.Normalization": (data.Normalization, {"scale": 0.3, "mean": (0.3,), "std": (0.3,)}),
    "data.Outline": (data.Outline, {"image_shape": (4, 5, 3), "num_classes": 3, "examples": 100}),
    "data.evaluation_batches": (_evaluation, {"batch_size": 7}),
    "data.folder": (functools.partial(folder.load, "nowhere"), {"side": 16}),
    "masking.FreshOptimizer.restore": (
        _training(lambda trained, **step: masking.FreshOptimizer(trained).restore(**step)),
        {"step": 3},
    ),
    "masking.pick_ticket": (
        lambda **seed: masking.pick_ticket(model(), core.PruningSpec.parse(0.5), "random", **seed),
        {"seed": 3},
    ),
    "masking.set_steps_per_execution": (_training(masking.set_steps_per_execution), {"steps": 3}),
    "masking.uncount_gradients": (_training(masking.uncount_gradients), {"number": 0}),
    "models.build": (
        functools.partial(models.build, "lenet5"),
        {"image_shape": (8, 8, 1), "classes": 3, "seed": 3},
    ),
    "scores.SynapticFlow": (_synflow, {"image_shape": (8,)}),
    "scores.grasp": (
        lambda **arguments: scores.grasp(model(), _weights(), [next(iter(batches(1)))], **arguments),
        {"temperature": 0.3},
    ),
    "scores.random": (functools.partial(scores.random, SHAPES), {"seed": 3}),
    "analysis.binomial_error": (verdict.binomial_error, {"accuracy": 0.3, "images": 100}),
    "analysis.wilson_interval": (chance.wilson_interval, {"accuracy": 0.3, "images": 100}),
    "analysis.check_margin": (verdict.check_margin, {"margin": 0.3}),
    "analysis.compare": (
        functools.partial(comparison.compare, ACCURACY, ACCURACY, "lth"),
        {"margin": 0.3, "resolution": 0.3},
    ),
    "analysis.compare_means": (functools.partial(statistics.compare_means, ACCURACY, ACCURACY), {"resolution": 0.3}),
    "analysis.Difference.interval": (
        statistics.compare_means(ACCURACY, ACCURACY, 0.1).interval,
        {"confidence": 0.3},
    ),
    "analysis.judge": (
        functools.partial(verdict.judge, pd.DataFrame({"method": [], "sparsity": []})),
        {"margin": 0.3, "test_images": 100, "classes": 10},
    ),
    "analysis.seeds_for_difference": (
        functools.partial(power.seeds_for_difference, paired=True),
        {"true": 0.3, "spread": 0.3},
    ),
    "analysis.seeds_for_equivalence": (
        functools.partial(power.seeds_for_equivalence, paired=True),
        {"margin": 0.3, "spread": 0.3},
    ),
    "analysis.verdict_json": (functools.partial(verdict.verdict_json, ()), {"margin": 0.3, "test_images": 100}),
}
