"""RunConfig: everything that a run depends on, validated once. Does not import TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from dlth_tf.core import SCHEDULES, PenaltySchedule, PruningSpec, parse_granularity
from dlth_tf.core.allocation import uniform
from dlth_tf.core.n_m import NByM
from dlth_tf.data import AUGMENTS, NORMALIZATIONS, check_augment
from dlth_tf.data import check_name as check_dataset
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS
from dlth_tf.models import MODELS
from dlth_tf.models import check_name as check_model
from dlth_tf.runs.duration import Duration

PRECISIONS = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PICKS = {
    "random": "random",
    "magnitude": "magnitude_min",
    "magnitude_min": "magnitude_min",
    "magnitude_max": "magnitude_max",
}
# Do not change what comes out:
WHERE_ONLY = (
    "data_dir",
    "run_dir",
    "resume",
    "checkpoint_every",
    "on_nan",
    "tensorboard",
    "verbosity",
    "export_dir",
    "shared_dir",
)


def option(default: Any, group: str, text: str, kind: str = "text") -> Any:
    """A field with what --help says about it."""
    return field(default=default, metadata={"group": group, "help": text, "kind": kind})


@dataclass(frozen=True)
class RunConfig:
    """One run. Every field is the flag of the same name; the help text of each is its documentation.

    The types are those of the fields as they are read: None for `sparsity`, `allocation` and `run_dir`, and mappings for
    `allocation` and `model_args`, are resolved when the configuration is made.

    Raises:
      BadInput: an unknown name (checked first) or a value out of range, with what is allowed.
    """

    method: str = option(None, "What to run", f"one of {', '.join(METHODS.names())}; required")
    dataset: str = option(
        None,
        "What to run",
        "digits (comes with the package); cifar10, imagenet200 or any other prepared tfds name (@SIDE after it: size of the images, "
        "where they have many); folder:PATH; or package.module:function; required",
    )
    model: str = option(
        None,
        "What to run",
        f"one of {', '.join(MODELS.names())}; keras_cv:NAME, a backbone of keras-cv; or package.module:function; required",
    )
    data_dir: str | None = option(
        None, "What to run", "where tfds data sets lie prepared; default: tfds' own directory"
    )
    init_weights: str | None = option(
        None,
        "What to run",
        "trained weights to start from, for l1, l1_iter, rst and rst_iter: weights.npz of a run, or a tf_keras weights file",
    )
    model_args: str = option("{}", "What to run", 'JSON for the model\'s builder, for example {"width": 2}')
    seed: int = option(0, "What to run", "of tickets, initial weights, data order and augmentation", "int")

    sparsity: float = option(
        None,
        "Ticket",
        "fraction removed of the pruned tensors, at least 0 and below 1; required by every method but dense",
        "float",
    )
    allocation: str = option(
        None,
        "Ticket",
        'uniform, erk, global, or a JSON map of layer patterns such as {"stage1*": 0.5, "*": 0.98}, which alone decides; '
        "default: global for snip, grasp and synflow, else uniform",
    )
    granularity: str = option(
        "weight",
        "Ticket",
        "what is removed as one piece: weight, filter, channel, block:4x1 and the like, 2:4 and the like",
    )
    dense_layers: str = option(
        "auto",
        "Ticket",
        "layers kept whole: names, patterns, first, last or none; auto: first,last with convolutions, else last",
    )
    ticket_pick: str = option(
        "random",
        "Ticket",
        "which weights RST and scratch remove: random; magnitude (smallest initial ones, as the official command does) or magnitude_max",
    )

    epochs: str | int = option("200ep", "Training", "length of a full training (ep, it; plain: epochs)")
    batch_size: int = option(128, "Training", "images per step of full trainings, over all replicas", "int")
    lr: float = option(
        0.1, "Training", "first learning rate of full trainings; a tenth and a hundredth of it follow", "float"
    )
    lr_values: str | None = option(None, "Training", "comma list of learning rates, instead of lr", "list")
    lr_boundaries: str | None = option(
        None, "Training", "where the learning rate changes (ep, it; plain: epochs); default: at 50 % and 75 %", "list"
    )
    momentum: float = option(0.9, "Training", "of SGD, at least 0 and below 1", "float")
    weight_decay: float = option(5e-4, "Training", "coupled L2 on all trainables", "float")

    penalty_schedule: str = option("x", "Transformation", "power of the counter that lambda is: x, x^2 or x^3")
    penalty_step: float = option(1e-4, "Transformation", "growth of the penalty's counter", "float")
    penalty_every: int = option(5, "Transformation", "steps between two growths", "int")
    penalty_limit: float = option(1.0, "Transformation", "the penalty stops growing above this", "float")
    hold_steps: str | int = option(
        "40000it", "Transformation", "how long the reached penalty is held (ep, it; plain: steps)"
    )
    transform_lr: float = option(1e-3, "Transformation", "learning rate of the transformation, constant", "float")
    transform_batch_size: int = option(64, "Transformation", "images per step of the transformation", "int")

    cycles: int = option(5, "Iterative methods", "rounds of rst_iter, lth_iter and l1_iter", "int")
    round_epochs: str | int | None = option(
        None, "Iterative methods", "length of a round of training (ep, it; plain: epochs); default: epochs"
    )
    rewind_step: str | int = option(
        "0it", "Iterative methods", "step of the first round that lth_iter rewinds to (ep, it; plain: steps)"
    )
    delete_between_cycles: bool = option(
        False, "Iterative methods", "rst_iter removes weights after every cycle, not only at the end", "bool"
    )
    finetune_between_cycles: bool = option(
        False, "Iterative methods", "rst_iter finetunes for round_epochs after every cycle but the last", "bool"
    )

    augment: str | None = option(
        None,
        "Data",
        f"none, or names joined by +: {', '.join(name for name in AUGMENTS.names() if name != 'none')}; default: the data set's own",
    )
    normalization: str | None = option(
        None,
        "Data",
        "unit (0 to 1), standard (mean 0, deviation 1), imagenet (its mean and deviation) or none; default: the data set's own",
    )

    precision: str = option("float32", "Machine", f"one of {', '.join(PRECISIONS)}")
    jit_compile: bool = option(False, "Machine", "compile the training step with XLA", "bool")
    steps_per_execution: int = option(
        20, "Machine", "steps per call into TensorFlow; changes speed, not results", "int"
    )
    strategy: str = option(
        "auto",
        "Machine",
        "one_device; mirrored (over GPUs, or --num_replicas); multi_worker (over processes that TF_CONFIG names); tpu (the local one, or "
        "that of TPU_NAME); or auto: mirrored if there are several GPUs",
    )
    num_replicas: int | None = option(
        None, "Machine", "replicas of mirrored; on a CPU that many logical devices", "int"
    )
    scale_lr: bool = option(False, "Machine", "multiply all learning rates by the number of replicas", "bool")
    deterministic: bool = option(
        False, "Machine", "TensorFlow's deterministic operations: the same command gives the same digest", "bool"
    )

    run_dir: str = option(None, "Output", "default runs/<dataset>-<model>-<method>-<sparsity>-s<seed>")
    resume: str = option(
        "auto", "Output", "auto: finish an incomplete run directory; never: refuse one that holds a run"
    )
    checkpoint_every: str = option(
        "5min",
        "Output",
        "time from one checkpoint to the next: steps (500it), epochs (1ep) or minutes (5min) of the phase",
    )
    on_nan: str = option(
        "stop",
        "Output",
        "when the loss or a weight is no finite number: stop, or rollback: once to the last checkpoint, with half the learning rate",
    )
    tensorboard: bool = option(False, "Output", "write TensorBoard scalars and histograms to the run directory", "bool")
    verbosity: int = option(1, "Output", "0 silent, 1 progress, 2 a line per epoch", "int")
    shared_dir: str | None = option(
        None,
        "Output",
        "folder where runs keep a training of the whole network that others begin with too; a sweep's own in a sweep",
    )
    export_dir: str | None = option(None, "Output", "also export the trained network there")

    def __post_init__(self) -> None:
        for name, check in (("method", METHODS.check), ("dataset", check_dataset), ("model", check_model)):
            if not getattr(self, name):
                raise BadInput(name, "(missing)", "is required")
            check(getattr(self, name))
        self._set(allocation=self._allocation())
        self._set(sparsity=self._checked_sparsity())
        self._check_method()
        self._check_choices()
        self._check_numbers()
        self._set(epochs=str(Duration.parse(self.epochs, "ep", name="epochs", least=1)))
        self._set(hold_steps=str(Duration.parse(self.hold_steps, "it", name="hold_steps")))
        self._set(rewind_step=str(Duration.parse(self.rewind_step, "it", name="rewind_step")))
        if self.round_epochs is not None:
            self._set(round_epochs=str(Duration.parse(self.round_epochs, "ep", name="round_epochs", least=1)))
        self.checkpoint_interval()
        if self.augment is not None:
            self._set(augment=check_augment(self.augment))
        values, boundaries = self._checked_rates()
        self._set(lr_values=values, lr_boundaries=boundaries, model_args=self._checked_arguments())
        self.penalty(steps_per_epoch=1)
        if self.run_dir is None:
            names = (name.replace(":", ".").replace("/", "_") for name in (self.dataset, self.model))
            self._set(run_dir=f"runs/{'-'.join(names)}-{self.method}-{self.sparsity:g}-s{self.seed}")

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _allocation(self) -> Any:
        if self.allocation is not None:
            return json.dumps(self.allocation) if isinstance(self.allocation, Mapping) else self.allocation
        return "uniform" if is_n_by_m(self.granularity) else METHODS.load(self.method).allocation

    def _check_method(self) -> None:
        method = METHODS.load(self.method)
        if method.fixed_counts:
            self.spec.check_fixed_counts(self.method)
        if self.init_weights is not None and not method.takes_weights:
            able = ", ".join(name for name in METHODS.names() if METHODS.load(name).takes_weights)
            raise BadInput(
                "init_weights",
                self.init_weights,
                f"does not go with {self.method}, which starts afresh; only {able} take weights",
            )

    def _checked_sparsity(self) -> float:
        if not METHODS.load(self.method).needs_sparsity:
            return 0.0
        if self.sparsity is None:
            raise BadInput("sparsity", "(missing)", f"is required by {self.method}: at least 0 and below 1")
        PruningSpec.parse(self.sparsity, self.allocation, self.granularity)
        return float(self.sparsity)

    @property
    def spec(self) -> PruningSpec:
        """The pruning choice; sparsity 0 for a method that removes nothing."""
        if METHODS.load(self.method).needs_sparsity:
            return PruningSpec.parse(self.sparsity, self.allocation, self.granularity, self.dense_layers)
        return PruningSpec(Fraction(0), uniform, parse_granularity(self.granularity), self.dense_layers)

    def _check_choices(self) -> None:
        for name, allowed in (
            ("ticket_pick", tuple(PICKS)),
            ("penalty_schedule", tuple(SCHEDULES)),
            ("normalization", (None, *NORMALIZATIONS.names())),
            ("precision", PRECISIONS),
            ("strategy", STRATEGIES),
            ("resume", ("auto", "never")),
            ("on_nan", ("stop", "rollback")),
            ("verbosity", (0, 1, 2)),
        ):
            if getattr(self, name) not in allowed:
                raise BadInput(
                    name, getattr(self, name), f"must be one of {', '.join(str(a) for a in allowed if a is not None)}"
                )
        if self.num_replicas is not None and self.strategy != "mirrored":
            raise BadInput("num_replicas", self.num_replicas, "needs --strategy=mirrored")
        if self.strategy == "multi_worker" and self.shared_dir is not None:
            raise BadInput(
                "shared_dir",
                self.shared_dir,
                "does not go with --strategy=multi_worker, whose workers would wait for each other",
            )
        if self.strategy == "tpu" and self.precision in ("float64", "mixed_float16"):
            raise BadInput("precision", self.precision, "does not work on a TPU: say float32 or mixed_bfloat16")

    def _check_numbers(self) -> None:
        for name in ("batch_size", "transform_batch_size", "penalty_every", "steps_per_execution", "cycles"):
            _at_least(name, getattr(self, name), 1)
        if self.num_replicas is not None:
            _at_least("num_replicas", self.num_replicas, 1)
            for name in ("batch_size", "transform_batch_size"):
                if getattr(self, name) % self.num_replicas:
                    raise BadInput(name, getattr(self, name), f"must be a multiple of the {self.num_replicas} replicas")
        for name in ("lr", "transform_lr"):
            if not (_is_number(getattr(self, name)) and getattr(self, name) > 0):
                raise BadInput(name, getattr(self, name), "must be a finite number above 0")
        if not (_is_number(self.momentum) and 0 <= self.momentum < 1):
            raise BadInput("momentum", self.momentum, "must be at least 0 and below 1")
        if not (_is_number(self.weight_decay) and self.weight_decay >= 0):
            raise BadInput("weight_decay", self.weight_decay, "must be a finite number, at least 0")
        if type(self.seed) is not int or self.seed < 0:
            raise BadInput("seed", self.seed, "must be a whole number, at least 0")

    def _checked_rates(self) -> tuple[str, str | None]:
        values = _words(self.lr_values) or [self.lr, self.lr / 10, self.lr / 100]
        try:
            values = [float(value) for value in values]
        except ValueError:
            values = [math.nan]
        if not all(_is_number(value) and value > 0 for value in values):
            raise BadInput("lr_values", self.lr_values, "must be numbers above 0, separated by commas")
        words = _words(self.lr_boundaries)
        boundaries = [str(Duration.parse(word, "ep", name="lr_boundaries", least=1)) for word in words]
        fits = len(boundaries) == len(values) - 1 if boundaries else len(values) in (1, 3)
        if not fits:
            given = f"{len(boundaries)} boundaries" if boundaries else "no boundaries"
            raise BadInput(
                "lr_boundaries",
                self.lr_boundaries,
                f"{given} do not fit {len(values)} learning rates: give {len(values) - 1}",
            )
        return ",".join(f"{value:g}" if float(f"{value:g}") == value else repr(value) for value in values), ",".join(
            boundaries
        ) or None

    def _checked_arguments(self) -> str:
        try:
            arguments = dict(self.model_args) if isinstance(self.model_args, Mapping) else json.loads(self.model_args)
            if not isinstance(arguments, dict):
                raise ValueError
            return json.dumps(arguments, sort_keys=True)
        except (ValueError, TypeError, RecursionError):
            raise BadInput("model_args", self.model_args, 'must be a JSON object such as {"width": 2}') from None

    def rates(self, steps_per_epoch: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Learning rates of a full training and the steps at which they change."""
        steps = Duration.parse(self.epochs).steps(steps_per_epoch)
        values = tuple(float(value) for value in _words(self.lr_values))
        boundaries: tuple[int, ...]
        if self.lr_boundaries is None:
            boundaries = () if len(values) == 1 else (steps // 2, steps * 3 // 4)
        else:
            boundaries = tuple(Duration.parse(word).steps(steps_per_epoch) for word in _words(self.lr_boundaries))
        if list(boundaries) != sorted(boundaries):
            raise BadInput("lr_boundaries", self.lr_boundaries, "must not go back in time")
        return values, boundaries

    def penalty(self, steps_per_epoch: int) -> PenaltySchedule:
        """The penalty of the transformation in the weights' dtype; raises BadInput for values out of range."""
        hold = Duration.parse(self.hold_steps, "it").steps(steps_per_epoch)
        return PenaltySchedule(
            self.penalty_schedule, self.penalty_step, self.penalty_every, self.penalty_limit, hold, self.weight_dtype
        )

    def checkpoint_interval(self) -> tuple[int, str]:
        """(count, unit) of --checkpoint_every; the unit is "it", "ep" or "min"."""
        match = re.fullmatch(r"\s*([1-9]\d{0,8})\s*(it|ep|min)\s*", str(self.checkpoint_every))
        if match is None:
            raise BadInput(
                "checkpoint_every",
                self.checkpoint_every,
                "must be a number of steps (500it), epochs (1ep) or minutes (5min)",
            )
        return int(match[1]), match[2]

    @property
    def weight_dtype(self) -> str:
        """The dtype that weights are stored in."""
        return "float64" if self.precision == "float64" else "float32"

    def to_json(self) -> dict[str, Any]:
        """Every field as a plain value; `RunConfig(**config.to_json())` is the same run."""
        return dataclasses.asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """What would come out differently, as "name is A there and B here", for each such field.

        A field that the other does not have yet is taken to have its default, which is what an older version did.
        """
        mine = self.to_json()
        theirs = {
            item.name: other.get(item.name, item.default)
            for item in dataclasses.fields(self)
            if item.name not in WHERE_ONLY
        }
        return [
            f"{name} is {value} there and {mine[name]} here" for name, value in theirs.items() if value != mine[name]
        ]


def is_n_by_m(granularity: str) -> bool:
    """Whether the text means n of every m weights."""
    return isinstance(parse_granularity(granularity), NByM)


def _words(text: object) -> list[Any]:
    if text is None:
        return []
    if isinstance(text, list | tuple):
        return list(text)
    return [word.strip() for word in str(text).split(",") if word.strip()]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _at_least(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise BadInput(name, value, f"must be a whole number, at least {least}")
