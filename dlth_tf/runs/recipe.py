"""The recipe of a configuration: a flag is checked when a phase reads it, so no method is refused for any other."""

from __future__ import annotations

import functools

from dlth_tf.core import PenaltySchedule, PruningSpec
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, LearningRate, Phase, Recipe
from dlth_tf.plain_numbers import plain
from dlth_tf.runs.config_checks import PICKS, PUBLISHED, Fields, checked
from dlth_tf.runs.duration import Duration

OF_THE_STAIRCASE = ("penalty_schedule", "penalty_step", "penalty_every", "penalty_limit", "hold_steps")
BATCH_SIZES = ("batch_size", "transform_batch_size")


class ConfiguredRecipe(Recipe):
    """A recipe that is resolved value by value, when a method reads it.

    Args:
      config: Configuration of the run.
      examples: Number of training images. If None, it is not known yet: flags are checked for themselves, and not
        whether they fit the data or each other; an epoch counts as one step.
    """

    _config: Fields
    _examples: int | None

    def __init__(self, config: Fields, examples: int | None = None) -> None:
        vars(self).update(_config=config, _examples=examples)

    @functools.cached_property
    def spec(self) -> PruningSpec:
        """Sparsity, allocation, granularity and dense layers of the ticket."""
        return self._config.spec

    @functools.cached_property
    def seed(self) -> int:
        """Seed of the ticket."""
        return self._config.seed

    @functools.cached_property
    def ticket_pick(self) -> str:
        """Name of the pick, with one name for each."""
        return PICKS[checked(self._config, "ticket_pick")]

    @functools.cached_property
    def batch_size(self) -> int:
        """Images per step of full trainings, at most as many as there are."""
        return self._batch_size("batch_size")

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch of full trainings."""
        return self._steps_per_epoch(self.batch_size)

    @functools.cached_property
    def train_steps(self) -> int:
        """Optimizer steps of one full training."""
        return Duration.parse(self._config.epochs).steps(self.steps_per_epoch)

    @functools.cached_property
    def learning_rate(self) -> LearningRate:
        """Learning rate of full trainings; its lists have no spaces, since the configuration has been validated."""
        values = tuple(float(value) for value in str(self._config.lr_values).split(","))
        boundaries: tuple[int, ...]
        if self._config.lr_boundaries is not None:
            words = self._config.lr_boundaries.split(",")
            boundaries = tuple(Duration.parse(word).steps(self.steps_per_epoch) for word in words)
        else:
            boundaries = () if len(values) == 1 else (self.train_steps // 2, self.train_steps * 3 // 4)
        if self._examples is not None and list(boundaries) != sorted(boundaries):
            raise BadInput("lr_boundaries", self._config.lr_boundaries, "must be in increasing order")
        return LearningRate(values, boundaries)

    @functools.cached_property
    def momentum(self) -> float:
        """Momentum of every phase."""
        return self._config.momentum

    @functools.cached_property
    def weight_decay(self) -> float:
        """Coupled L2 of every phase."""
        return self._config.weight_decay

    @functools.cached_property
    def penalty(self) -> PenaltySchedule:
        """The penalty of the transformation."""
        length = checked(self._config, "transform_epochs")
        read = {None: OF_THE_STAIRCASE, PUBLISHED: ()}.get(length, ("penalty_schedule", "penalty_limit"))
        for name in read:
            checked(self._config, name)
        return self._config.penalty(self._steps_per_epoch(self.transform_batch_size))

    @functools.cached_property
    def transform_batch_size(self) -> int:
        """Images per step of the transformation, at most as many as there are."""
        return self._batch_size("transform_batch_size")

    @functools.cached_property
    def transform_lr(self) -> float:
        """Learning rate of the transformation."""
        return checked(self._config, "transform_lr")

    @functools.cached_property
    def cycles(self) -> int:
        """Number of rounds of iterative methods."""
        return checked(self._config, "cycles")

    @functools.cached_property
    def round_steps(self) -> int:
        """Optimizer steps of one round of an iterative method."""
        return Duration.parse(checked(self._config, "round_epochs") or self._config.epochs).steps(self.steps_per_epoch)

    @functools.cached_property
    def rewind_step(self) -> int:
        """Step of the first round that weights are rewound to, below the number of steps of a round."""
        step = Duration.parse(checked(self._config, "rewind_step")).steps(self.steps_per_epoch)
        shortest = min(self.train_steps, self.round_steps)
        if self._examples is not None and step >= shortest:
            allowed = f"must be below {shortest}, the number of steps of a round"
            raise BadInput("rewind_step", self._config.rewind_step, allowed)
        return step

    @functools.cached_property
    def delete_between_cycles(self) -> bool:
        """True if RST-Iter removes weights after every cycle."""
        return self._config.delete_between_cycles

    @functools.cached_property
    def finetune_between_cycles(self) -> bool:
        """True if RST-Iter finetunes after every cycle."""
        return self._config.finetune_between_cycles

    @functools.cached_property
    def trained(self) -> bool:
        """True if the initial weights are trained ones."""
        return self._config.init_weights is not None

    def _batch_size(self, name: str) -> int:
        size = checked(self._config, name)
        if self._examples is not None and size > self._examples:
            allowed = f"must be at most {self._examples}, the number of training images of {self._config.dataset}"
            raise BadInput(name, size, allowed)
        return size

    def _steps_per_epoch(self, batch_size: int) -> int:
        return 1 if self._examples is None else self._examples // batch_size


def lay_out(method: str, recipe: Recipe) -> list[Phase]:
    """Returns the phases of a method after everything that they will read has been checked.

    Args:
      method: Name of the method.
      recipe: The recipe, whose values are checked when they are read.

    Raises:
      BadInput: If the method cannot use a value that it reads.
    """
    phases = METHODS.load(method).phases(recipe)
    for phase in phases:
        for function in (*phase.start, phase.callbacks, *phase.end):
            for name in getattr(function, "reads", ()):
                getattr(recipe, name)
    return phases


def check_batches(config: Fields, replicas: int) -> None:
    """Checks that the batches of all phases can be divided among `replicas` replicas."""
    used = {phase.batch_size for phase in lay_out(config.method, ConfiguredRecipe(config))}
    for name in BATCH_SIZES:
        size = plain(getattr(config, name))
        if size in used and size % replicas:
            raise BadInput(name, size, f"must be a multiple of the {replicas} replicas")
