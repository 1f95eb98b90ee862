"""RunConfig: everything that a run depends on, validated once. Does not import TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

from dlth_tf.analysis.settings import WHERE_ONLY
from dlth_tf.core import PenaltySchedule, PruningSpec
from dlth_tf.data import AUGMENTS, Targets
from dlth_tf.errors import renamed
from dlth_tf.measures import CLASSIFICATION, MEASURES, Measure
from dlth_tf.methods import METHODS
from dlth_tf.models import MODELS
from dlth_tf.models.arguments import check_arguments
from dlth_tf.plain_numbers import shortest
from dlth_tf.runs import config_checks
from dlth_tf.runs.checkpointing.interval import CheckpointInterval
from dlth_tf.runs.config_checks import MASKED, PRECISIONS, PUBLISHED
from dlth_tf.runs.config_types import check_types
from dlth_tf.runs.duration import Duration
from dlth_tf.runs.recipe import ConfiguredRecipe, check_batches, lay_out


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def option(default: Any, group: str, text: str, comma_list: bool = False) -> Any:
    """Returns a dataclass field with its --help group and text; the type of the flag is read off the annotation."""
    return field(default=default, metadata={"group": group, "help": text, "comma_list": comma_list})


@dataclass(frozen=True)
class RunConfig:
    """One run. Every field is the flag of the same name, and its help text is its documentation.

    The annotations are the types after validation. `sparsity`, `allocation` and `run_dir` also accept None;
    `allocation` and `model_args` also accept mappings; both are resolved by the constructor.

    Raises:
      BadInput: If a name is unknown (checked first), or the value of a flag that the method reads is out of range.
    """

    method: str = option(
        None,
        "What to run",
        f"one of {', '.join(METHODS.names())}; required",
    )
    dataset: str = option(
        None,
        "What to run",
        "digits (included in the package); cifar10, imagenet200 or any other prepared tfds name (append @SIDE for the "
        "image size of sets with images of many sizes); folder:PATH; npz:PATH; csv:PATH; or package.module:function; "
        "required",
    )
    model: str = option(
        None,
        "What to run",
        f"one of {', '.join(MODELS.names())}; keras_cv:NAME, a keras-cv backbone; or package.module:function; required",
    )
    task: str = option(
        CLASSIFICATION,
        "What to run",
        "classification of integer or named labels by cross-entropy, measured by accuracy; or regression of "
        "floating-point labels by mean squared error",
    )
    label_column: str | None = option(
        None,
        "What to run",
        "column of csv:PATH that holds the labels; default: label if there is one, else the last",
    )
    data_dir: str | None = option(
        None,
        "What to run",
        "directory of prepared tfds data sets; default: the tfds default directory",
    )
    init_weights: str | None = option(
        None,
        "What to run",
        "trained weights to start from, for l1, l1_iter, rst and rst_iter: weights.npz of a run, or a tf_keras weights "
        "file",
    )
    model_args: str = option(
        "{}",
        "What to run",
        'JSON arguments for the model builder, for example {"width": 2}',
    )
    seed: int = option(
        0,
        "What to run",
        "seed of tickets, initial weights, data order and augmentation",
    )

    sparsity: float = option(
        None,
        "Ticket",
        "fraction of the prunable weights to remove, above 0 and below 1; required by every method but dense",
    )
    allocation: str = option(
        None,
        "Ticket",
        'uniform, erk, global, or a JSON map of layer patterns such as {"stage1*": 0.5, "*": 0.98}, which overrides '
        "--sparsity; default: global for snip, grasp and synflow, otherwise uniform",
    )
    granularity: str = option(
        "weight",
        "Ticket",
        "unit of removal: weight, filter, channel, a block such as block:4x1, or n:m such as 2:4",
    )
    dense_layers: str = option(
        "auto",
        "Ticket",
        "layers to keep dense: names, patterns, first, last or none; auto: first,last for convolutional networks, "
        "otherwise last",
    )
    ticket_pick: str = option(
        "random",
        "Ticket",
        "which weights RST and scratch remove: random; magnitude (the smallest initial ones, as in the official "
        "command) or magnitude_max",
    )

    epochs: str | int = option(
        "200ep",
        "Training",
        "length of a full training (ep, it; plain number: epochs)",
    )
    batch_size: int = option(
        128,
        "Training",
        "images per step of full trainings, over all replicas",
    )
    lr: float = option(
        0.1,
        "Training",
        "initial learning rate of full trainings, followed by a tenth and a hundredth of it",
    )
    lr_values: str | None = option(
        None,
        "Training",
        "comma list of learning rates; overrides lr",
        comma_list=True,
    )
    lr_boundaries: str | None = option(
        None,
        "Training",
        "when the learning rate changes (ep, it; plain number: epochs); default: at 50 % and 75 %",
        comma_list=True,
    )
    momentum: float = option(
        0.9,
        "Training",
        "momentum of SGD, at least 0 and below 1",
    )
    weight_decay: float = option(
        5e-4,
        "Training",
        "coupled L2 coefficient of all trainable variables",
    )

    finetune: str = option(
        MASKED,
        "Training",
        "network that is trained after the removal: masked, with its zeros; or compact, without the removed filters or "
        "channels (--granularity), whose weights return to their places at the end",
    )

    penalty_schedule: str = option(
        "x",
        "Transformation",
        "lambda as a power of the penalty counter: x, x^2 or x^3",
    )
    penalty_step: float = option(
        1e-4,
        "Transformation",
        "increment of the penalty counter",
    )
    penalty_every: int = option(
        5,
        "Transformation",
        "steps between two increments",
    )
    penalty_limit: float = option(
        1.0,
        "Transformation",
        "the penalty stops growing once it exceeds this value",
    )
    hold_steps: str | int = option(
        "40000it",
        "Transformation",
        "how long the final penalty is held (ep, it; plain number: steps)",
    )
    transform_epochs: str | int | None = option(
        None,
        "Transformation",
        "length of the transformation (ep, it; plain number: epochs): the published staircase over that length; or "
        "published, its published numbers; replaces penalty_step, penalty_every and hold_steps, which count by default",
    )
    transform_lr: float = option(
        1e-3,
        "Transformation",
        "constant learning rate of the transformation",
    )
    transform_batch_size: int = option(
        64,
        "Transformation",
        "images per step of the transformation, over all replicas",
    )

    cycles: int = option(
        5,
        "Iterative methods",
        "number of rounds of rst_iter, lth_iter and l1_iter",
    )
    round_epochs: str | int | None = option(
        None,
        "Iterative methods",
        "length of a round of training (ep, it; plain number: epochs); default: epochs",
    )
    rewind_step: str | int = option(
        "0it",
        "Iterative methods",
        "step of the first round that lth_iter rewinds to (ep, it; plain number: steps)",
    )
    delete_between_cycles: bool = option(
        False,
        "Iterative methods",
        "rst_iter removes weights after every cycle, not only at the end",
    )
    finetune_between_cycles: bool = option(
        False,
        "Iterative methods",
        "rst_iter finetunes for round_epochs after every cycle but the last",
    )

    augment: str | None = option(
        None,
        "Data",
        f"none, or names joined by +: {', '.join(name for name in AUGMENTS.names() if name != 'none')}; "
        "default: that of the data set",
    )
    normalization: str | None = option(
        None,
        "Data",
        "unit (pixels from 0 to 1), standard (mean 0, standard deviation 1 by channel or column), imagenet (mean and "
        "deviation of ImageNet) or none; "
        "default: that of the data set",
    )

    eval_examples: int | None = option(
        None,
        "Data",
        "validation and test examples that are evaluated, a fixed sample of each, class by class; default: all",
    )

    evaluate_every: int = option(
        1,
        "Data",
        "epochs from one evaluation, a row of history.csv, to the next; the last five epochs of a phase are always "
        "evaluated",
    )

    precision: str = option(
        "float32",
        "Machine",
        f"one of {', '.join(PRECISIONS)}",
    )
    jit_compile: bool = option(
        False,
        "Machine",
        "compile the training step with XLA",
    )
    steps_per_execution: int = option(
        20,
        "Machine",
        "training steps per call into TensorFlow; changes speed, not results",
    )
    strategy: str = option(
        "auto",
        "Machine",
        "one_device; mirrored (over GPUs, or --num_replicas); multi_worker (over the processes in TF_CONFIG); tpu "
        "(local, or the one in TPU_NAME); or auto: mirrored if there are several GPUs",
    )
    num_replicas: int | None = option(
        None,
        "Machine",
        "number of mirrored replicas; without GPUs that many logical CPU devices",
    )
    scale_lr: bool = option(
        False,
        "Machine",
        "multiply all learning rates by the number of replicas",
    )
    deterministic: bool = option(
        False,
        "Machine",
        "use TensorFlow's deterministic operations: the same command yields the same digest",
    )

    run_dir: str = option(
        None,
        "Output",
        "directory of the run; default runs/<dataset>-<model>-<method>-<sparsity>-s<seed>",
    )
    resume: str = option(
        "auto",
        "Output",
        "auto: resume an unfinished run directory; never: refuse one",
    )
    checkpoint_every: str = option(
        "5min",
        "Output",
        "interval between checkpoints: steps (500it), epochs (1ep) or minutes (5min) of the phase",
    )
    on_nan: str = option(
        "stop",
        "Output",
        "when the loss or a weight is not finite: stop, or rollback: return once to the last checkpoint and halve the "
        "learning rate",
    )
    tensorboard: bool = option(
        False,
        "Output",
        "write TensorBoard scalars and histograms to the run directory",
    )
    verbosity: int = option(
        1,
        "Output",
        "0 silent, 1 progress, 2 one line per epoch",
    )
    shared_dir: str | None = option(
        None,
        "Output",
        "folder for dense trainings that several runs start with, so that each is done once; a sweep sets its own",
    )
    export_dir: str | None = option(
        None,
        "Output",
        "also export the trained network to this directory",
    )

    def __post_init__(self) -> None:
        check_types(self)
        config_checks.check_names(self)
        self._set(allocation=config_checks.allocation(self))
        self._set(sparsity=config_checks.sparsity(self))
        config_checks.check_method(self)
        config_checks.check_choices(self)
        config_checks.check_devices(self)
        self._set(**config_checks.numbers(self))
        self._set(epochs=config_checks.duration("epochs", self.epochs))
        CheckpointInterval.parse(self.checkpoint_every)
        self._set(augment=config_checks.augment(self))
        self._set(**config_checks.rates(self))
        self._set(model_args=config_checks.model_args(self))
        check_arguments(self.model, json.loads(self.model_args))
        lay_out(self.method, ConfiguredRecipe(self))
        if self.num_replicas is not None:
            check_batches(self, self.num_replicas)
        self._set(**config_checks.single_forms(self))
        if self.run_dir is None:
            names = (name.replace(":", ".").replace("/", "_") for name in (self.dataset, self.model))
            self._set(run_dir=f"runs/{'-'.join(names)}-{self.method}-{shortest(self.sparsity)}-s{self.seed}")

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def spec(self) -> PruningSpec:
        """The pruning choice; for a method that removes nothing, sparsity 0 and the other defaults."""
        if METHODS.load(self.method).needs_sparsity:
            return PruningSpec.parse(self.sparsity, self.allocation, self.granularity, self.dense_layers)
        return PruningSpec.parse(0)

    @property
    def targets(self) -> Targets:
        """Task and column of the labels of the data set."""
        return Targets(self.task, self.label_column)

    @property
    def measure(self) -> Measure:
        """The number that the task is judged by."""
        return MEASURES[self.task]

    def penalty(self, steps_per_epoch: int) -> PenaltySchedule:
        """Returns the penalty of the transformation in the dtype of the weights.

        Args:
          steps_per_epoch: Steps of an epoch of the transformation.

        Raises:
          BadInput: If a value is out of range.
        """
        length = config_checks.checked(self, "transform_epochs")
        if length == PUBLISHED:
            return PenaltySchedule(dtype=self.weight_dtype)
        if length is not None:
            steps = Duration.parse(length).steps(steps_per_epoch)
            with renamed({name: f"penalty_{name}" for name in ("schedule", "limit")}):
                return PenaltySchedule.of_length(steps, self.penalty_schedule, self.penalty_limit, self.weight_dtype)
        hold_steps = Duration.parse(self.hold_steps, "it").steps(steps_per_epoch)
        with renamed({name: f"penalty_{name}" for name in ("schedule", "step", "every", "limit")}):
            return PenaltySchedule(
                self.penalty_schedule,
                self.penalty_step,
                self.penalty_every,
                self.penalty_limit,
                hold_steps,
                self.weight_dtype,
            )

    @property
    def weight_dtype(self) -> str:
        """Dtype of the stored weights: "float32" or "float64"."""
        return "float64" if self.precision == "float64" else "float32"

    def to_json(self) -> dict[str, Any]:
        """Returns every field as a plain value; `RunConfig(**config.to_json())` is an equal configuration.

        JSON has no NaN and no infinity; such a value, of a flag that the method does not read, becomes text.
        """
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Returns "name is A there and B here" for every field that changes the outcome and differs.

        Args:
          other: `to_json()` of another configuration. A field that it lacks is taken to have its default, which is the
            behavior of the older version that wrote it.
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
