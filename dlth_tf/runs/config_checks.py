"""Checks of the fields of a RunConfig, and the single form that equivalent values are resolved to."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from dlth_tf import data, models
from dlth_tf.core import SCHEDULES, PatternMap, PruningSpec, parse_allocation, parse_granularity
from dlth_tf.core.exact_counts import parse_sparsity
from dlth_tf.core.n_m import NByM
from dlth_tf.errors import BadInput
from dlth_tf.measures import REGRESSION, TASKS
from dlth_tf.methods import METHODS
from dlth_tf.plain_numbers import (
    ABOVE_0,
    AT_LEAST_0,
    BELOW_1,
    json_value,
    real_number,
    shortest,
    whole_number,
    whole_or_none,
)
from dlth_tf.runs.duration import Duration

Fields: TypeAlias = Any  # a RunConfig, whose module imports this one


ALLOWED_SPARSITY = "above 0 and below 1 (the fraction of the weights that is removed)"
REMOVES_NOTHING = "the method that removes nothing is dense"
PRECISIONS = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
PUBLISHED = "published"  # value of --transform_epochs
MASKED, COMPACT = "masked", "compact"  # values of --finetune
COMPACTABLE = ("filter", "channel")  # granularities that leave filters or channels without any weight
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PICKS = {
    "random": "random",
    "magnitude": "magnitude_min",
    "magnitude_min": "magnitude_min",
    "magnitude_max": "magnitude_max",
}
CHOICES: dict[str, tuple[object, ...]] = {
    "task": TASKS,
    "normalization": (None, *data.NORMALIZATIONS.names()),
    "precision": PRECISIONS,
    "strategy": STRATEGIES,
    "finetune": (MASKED, COMPACT),
    "resume": ("auto", "never"),
    "on_nan": ("stop", "rollback"),
    "verbosity": (0, 1, 2),
}
LEAST = {  # of the whole numbers that every run reads
    "batch_size": 1,
    "steps_per_execution": 1,
    "seed": 0,
    "evaluate_every": 1,
}
RANGES = {
    "lr": ABOVE_0,
    "momentum": BELOW_1,
    "weight_decay": AT_LEAST_0,
}


def check_names(config: Fields) -> None:
    """Checks the method, the data set and the model, in this order, before any value."""
    for name, check in (("method", METHODS.check), ("dataset", data.check_name), ("model", models.check_name)):
        if not getattr(config, name):
            raise BadInput(name, "(missing)", "is required")
        check(getattr(config, name))


def allocation(config: Fields) -> str:
    """Returns the allocation as text; None becomes the default of the method."""
    if config.allocation is not None:
        if not isinstance(config.allocation, Mapping):
            return config.allocation
        parse_allocation(config.allocation)
        return json.dumps(config.allocation, default=json_value)
    return default_allocation(config.method, config.granularity)


def default_allocation(method: str, granularity: str) -> str:
    """Returns the allocation of a method that is given none."""
    plan = METHODS.load(method)
    return "uniform" if plan.needs_sparsity and is_n_by_m(granularity) else plan.allocation


def sparsity(config: Fields) -> float:
    """Returns the sparsity, which is 0 for methods that do not take one."""
    if not METHODS.load(config.method).needs_sparsity:
        return 0.0
    if config.sparsity is None:
        raise BadInput("sparsity", "(missing)", f"is required by {config.method}: {ALLOWED_SPARSITY}")
    exact = read_sparsity(config.sparsity)
    spec = PruningSpec.parse(exact, config.allocation, config.granularity)
    if isinstance(spec.allocation, PatternMap) and not any(value for _, value in spec.allocation.sparsities):
        raise BadInput("allocation", config.allocation, f"must have a sparsity above 0: {REMOVES_NOTHING}")
    return float(spec.texts["sparsity"])


def read_sparsity(value: Any) -> Fraction:
    """Returns the sparsity of a method that removes weights.

    Raises:
      BadInput: If it is not a number above 0 and below 1.
    """
    try:
        exact = parse_sparsity(value)
    except BadInput as refused:
        number = "a number " if "a number" in refused.allowed else ""
        raise BadInput("sparsity", value, f"must be {number}{ALLOWED_SPARSITY}") from None
    if not 0 < float(exact) < 1:
        nothing = "" if float(exact) else f": {REMOVES_NOTHING}"
        raise BadInput("sparsity", value, f"must be {ALLOWED_SPARSITY}{nothing}")
    return exact


def check_method(config: Fields) -> None:
    """Checks the fields that not every method can use."""
    method = METHODS.load(config.method)
    if method.fixed_counts:
        config.spec.check_fixed_counts(config.method)
    if config.init_weights is not None and not method.takes_weights:
        able = ", ".join(name for name in METHODS.names() if METHODS.load(name).takes_weights)
        raise BadInput(
            "init_weights",
            config.init_weights,
            f"cannot be combined with {config.method}, which starts from new weights; only {able} accept trained ones",
        )


def check_choices(config: Fields) -> None:
    """Checks the fields that take one of a few values."""
    for name, allowed in CHOICES.items():
        _one_of(name, getattr(config, name), allowed)
    if (
        config.finetune == COMPACT
        and METHODS.load(config.method).needs_sparsity
        and config.granularity not in COMPACTABLE
    ):
        reason = "takes removed filters or channels out of the network: requires --granularity=filter or channel"
        raise BadInput("finetune", config.finetune, reason)


def check_devices(config: Fields) -> None:
    """Checks the fields that not every strategy can use."""
    if config.num_replicas is not None and config.strategy != "mirrored":
        raise BadInput("num_replicas", config.num_replicas, "requires --strategy=mirrored")
    if config.strategy == "multi_worker" and config.shared_dir is not None:
        raise BadInput(
            "shared_dir",
            config.shared_dir,
            "cannot be combined with --strategy=multi_worker, whose workers would wait for each other",
        )
    if config.strategy == "tpu" and config.precision in ("float64", "mixed_float16"):
        raise BadInput("precision", config.precision, "is not supported on a TPU: use float32 or mixed_bfloat16")


def numbers(config: Fields) -> dict[str, float | None]:
    """Returns the numbers that every run reads as plain ones; raises BadInput if one is out of its range."""
    whole = {name: whole_number(name, getattr(config, name), least) for name, least in LEAST.items()}
    read = {name: allowed for name, allowed in RANGES.items() if name != "lr" or config.lr_values is None}
    real = {name: real_number(name, getattr(config, name), allowed) for name, allowed in read.items()}
    verbosity = whole_number("verbosity", config.verbosity, least=0, most=2)
    replicas = whole_or_none("num_replicas", config.num_replicas, least=1)
    evaluated = whole_or_none("eval_examples", config.eval_examples, least=1)
    return {**whole, **real, "verbosity": verbosity, "num_replicas": replicas, "eval_examples": evaluated}


def augment(config: Fields) -> str | None:
    """Returns the augmentation in its canonical order, or None for that of the data set."""
    if config.augment is None:
        return None
    name = data.check_augment(config.augment)
    if config.task == REGRESSION and data.augmentation(name).soft_labels:
        raise BadInput("augment", name, "mixes the labels of classes, and cannot be combined with --task=regression")
    return name


def rates(config: Fields) -> dict[str, str | None]:
    """Returns `lr_values` and `lr_boundaries` as comma lists; `lr` becomes its three values."""
    values = _rate_values(config)
    words = split_list(config.lr_boundaries)
    boundaries = [str(Duration.parse(word, "ep", name="lr_boundaries", least=1)) for word in words]
    fits = len(boundaries) == len(values) - 1 if boundaries else len(values) in (1, 3)
    if not fits:
        number = f"{len(boundaries)} boundaries" if boundaries else "no boundaries"
        raise BadInput(
            "lr_boundaries",
            config.lr_boundaries,
            f"{number} do not fit {len(values)} learning rates: give {len(values) - 1}",
        )
    return {"lr_values": ",".join(map(shortest, values)), "lr_boundaries": ",".join(boundaries) or None}


def _rate_values(config: Fields) -> list[float]:
    words = split_list(config.lr_values) or [config.lr, config.lr / 10, config.lr / 100]
    try:
        return [real_number("lr_values", float(word) if isinstance(word, str) else word, ABOVE_0) for word in words]
    except ValueError:  # BadInput is a ValueError
        raise BadInput("lr_values", config.lr_values, "must be numbers above 0, separated by commas") from None


def model_args(config: Fields) -> str:
    """Returns the arguments of the model builder as a JSON object with sorted keys."""
    value: Any = config.model_args
    try:
        arguments = dict(value) if isinstance(value, Mapping) else json.loads(value)
        if not isinstance(arguments, dict):
            raise ValueError
        return json.dumps(arguments, sort_keys=True, default=json_value)
    except (ValueError, TypeError, RecursionError):
        raise BadInput("model_args", value, 'must be a JSON object such as {"width": 2}') from None


def is_n_by_m(granularity: str) -> bool:
    """Returns whether the granularity keeps n of every m weights."""
    return isinstance(parse_granularity(granularity), NByM)


def split_list(text: Any) -> list[Any]:
    """Splits a comma list into words; lists, tuples and arrays are copied, and None is an empty list.

    >>> split_list(".1, .01,"), split_list(None)
    (['.1', '.01'], [])
    """
    if text is None:
        return []
    if isinstance(text, list | tuple) or getattr(text, "ndim", 0) == 1:
        return list(text)
    return [word.strip() for word in str(text).split(",") if word.strip()]


def _one_of(name: str, value: object, allowed: Collection[object]) -> Any:
    if value not in allowed:
        listed = ", ".join(str(choice) for choice in allowed if choice is not None)
        raise BadInput(name, value, f"must be one of {listed}")
    return value


def duration(name: str, value: object, unit: str = "ep", least: int = 1) -> str:
    """Returns a duration as text with a unit."""
    return str(Duration.parse(value, unit, name=name, least=least))


def _is_published_or_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and value == PUBLISHED)


_above_0 = functools.partial(real_number, allowed=ABOVE_0)
_at_least_1 = functools.partial(whole_number, least=1)
# Flags that only some methods read -> function (name, value) -> the single form that equivalent values are resolved to.
READ_BY_SOME: dict[str, Callable[[str, Any], Any]] = {
    "ticket_pick": functools.partial(_one_of, allowed=tuple(PICKS)),
    "penalty_schedule": functools.partial(_one_of, allowed=tuple(SCHEDULES)),
    "penalty_step": _above_0,
    "penalty_every": _at_least_1,
    "penalty_limit": _above_0,
    "hold_steps": functools.partial(duration, unit="it", least=0),
    "transform_epochs": lambda name, value: value if _is_published_or_none(value) else duration(name, value),
    "transform_lr": _above_0,
    "transform_batch_size": _at_least_1,
    "cycles": _at_least_1,
    "round_epochs": lambda name, value: None if value is None else duration(name, value),
    "rewind_step": functools.partial(duration, unit="it", least=0),
}


def checked(config: Fields, name: str) -> Any:
    """Returns the value of a flag in its single form.

    Raises:
      BadInput: If the flag is one of READ_BY_SOME, and its value invalid; others have been checked already.
    """
    value = getattr(config, name)
    return READ_BY_SOME[name](name, value) if name in READ_BY_SOME else value


def single_forms(config: Fields) -> dict[str, Any]:
    """Returns the flags of READ_BY_SOME in their single form, without those that are invalid, which no phase reads."""
    forms = {}
    for name in READ_BY_SOME:
        with contextlib.suppress(BadInput):
            forms[name] = checked(config, name)
    return forms
