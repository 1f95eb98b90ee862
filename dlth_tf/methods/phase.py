"""The parts of a method. Importing this, or any method, does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from dlth_tf.core import PenaltySchedule, PruningSpec


@dataclass(frozen=True)
class LearningRate:
    """Piecewise constant learning rate: `values[i]` holds until step `boundaries[i]` of the phase."""

    values: tuple[float, ...]
    boundaries: tuple[int, ...] = ()

    def at(self, step: int) -> float:
        """Returns the learning rate of optimizer step `step` (0-based)."""
        return self.values[int(np.searchsorted(self.boundaries, step, side="right"))]

    def stretched(self, factor: float) -> LearningRate:
        """Returns the same values, with every boundary at `factor` times its step."""
        return LearningRate(self.values, tuple(round(boundary * factor) for boundary in self.boundaries))

    def scaled(self, factor: float) -> LearningRate:
        """Returns the same boundaries, with every value times `factor`."""
        return LearningRate(tuple(value * factor for value in self.values), self.boundaries)

    def resumed_at(self, step: int) -> LearningRate:
        """Returns the rest of the schedule from `step` on, which becomes step 0."""
        return LearningRate(self.values, tuple(max(0, boundary - step) for boundary in self.boundaries))


@dataclass(frozen=True)
class Recipe:
    """A run's configuration, resolved to steps: everything that a method needs to lay out its phases.

    The recipe of a run checks a value when it is read, so that no method is refused for a flag that it does not read.

    Attributes:
      spec: Sparsity, allocation, granularity and dense layers of the ticket; sparsity 0 for a method that removes
        nothing.
      seed: Seed of the ticket.
      ticket_pick: "random", "magnitude_min" or "magnitude_max".
      train_steps: Optimizer steps of one full training.
      batch_size: Images per step of full trainings, over all replicas.
      learning_rate: Learning rate of full trainings.
      penalty: The penalty of the transformation, in the weights' dtype.
      transform_batch_size: Images per step of the transformation, over all replicas.
      transform_lr: Learning rate of the transformation, constant.
      momentum: Momentum of every phase.
      weight_decay: Coupled L2 of every phase.
      cycles: Number of rounds of iterative methods.
      round_steps: Optimizer steps of one round of an iterative method.
      rewind_step: Step of the first round that weights are rewound to.
      delete_between_cycles: Whether RST-Iter removes weights after every cycle.
      finetune_between_cycles: Whether RST-Iter finetunes after every cycle.
      steps_per_epoch: Optimizer steps per epoch of full trainings.
      trained: Whether the initial weights are the user's own trained ones, so that no dense training comes first.
    """

    spec: PruningSpec
    seed: int
    ticket_pick: str
    train_steps: int
    batch_size: int
    learning_rate: LearningRate
    penalty: PenaltySchedule
    transform_batch_size: int
    transform_lr: float
    momentum: float
    weight_decay: float
    cycles: int = 5
    round_steps: int = 0
    rewind_step: int = 0
    delete_between_cycles: bool = False
    finetune_between_cycles: bool = False
    steps_per_epoch: int = 1
    trained: bool = False


class TrainingImages(Protocol):
    """Training images for scores at initialization, without augmentation."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of every example: (height, width, channels) of images."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    def batch(self, purpose: str, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns one random batch: images [size, ...] and labels int64 [size], a pure function of seed and purpose."""

    def balanced(self, purpose: str, per_class: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns `per_class` random images of every class, in batches of at most `size`."""


class CompactModel(Protocol):
    """The network without what has been removed, in the place of the whole one."""

    model: Any

    @property
    def has_masks(self) -> bool:
        """True if weights are removed from layers that stay."""

    def read(self) -> None:
        """Takes the weights of the whole network."""

    def write_back(self) -> None:
        """Gives the weights to the whole network."""


@dataclass
class Network:
    """The object that the actions of a phase act on: the wrapped model and its run.

    Attributes:
      model: The wrapped model.
      recipe: The recipe of the run.
      initial: Weights that rewinding restores, by name: those at the very start, or at `rewind_step`.
      inputs: Training images for scores.
      evaluate: Returns {"val_accuracy": ..., "test_accuracy": ...}, or "val_mse" and so on, of the present model.
      initial_changed: Whether `initial` is no longer that of the very start.
      before_removal: Result of `evaluate` just before weights were last removed.
      after_removal: Result of `evaluate` just after.
      compact: The smaller network that the present phase trains in the place of `model`, if it does.
    """

    model: Any
    recipe: Recipe
    initial: Mapping[str, np.ndarray]
    inputs: TrainingImages
    evaluate: Callable[[], dict[str, float]]
    initial_changed: bool = False
    before_removal: dict[str, float] = field(default_factory=dict)
    after_removal: dict[str, float] = field(default_factory=dict)
    compact: CompactModel | None = None

    @property
    def trained(self) -> Any:
        """The model that the present phase trains."""
        return self.model if self.compact is None else self.compact.model

    def whole(self) -> Any:
        """Returns `model` with the weights that it has by now."""
        if self.compact is not None:
            self.compact.write_back()
        return self.model


Action = Callable[[Network], None]


Callbacks = Callable[[Network], list[Any]]
OfPhase = TypeVar("OfPhase", bound=Callable[[Network], Any])


def reads(*names: str) -> Callable[[OfPhase], OfPhase]:
    """Declares what an action, or the function of the callbacks, reads of the recipe while the run is under way.

    Args:
      *names: Attributes of `Recipe`, which are then checked before the run begins.
    """

    def declared(function: OfPhase) -> OfPhase:
        vars(function)["reads"] = names
        return function

    return declared


def no_callbacks(network: Network) -> list[Any]:
    """Returns no callbacks."""
    return []


@dataclass(frozen=True)
class Phase:
    """One training of the network with a fresh optimizer.

    Attributes:
      name: Name of the phase; also the purpose of its batches, so phases of the same name see the same data in every
        method.
      steps: Optimizer steps, exactly.
      batch_size: Images per step, over all replicas.
      learning_rate: Learning rate over the steps of this phase.
      callbacks: Function from the network to the phase's callbacks, called before training.
      start: Actions before the first step, in order.
      end: Actions after the last step, in order.
      first_step: Step of the full training at which this phase starts: its batches are those from there on.
      shareable: Whether a run's first phase trains the whole network with nothing but the optimizer, so that its
        outcome is the same in every method that begins with it, and runs of a sweep can share it.
      compactable: Whether it trains what its start leaves and nothing comes back, so that the network without what has
        been removed can be trained in the place of the whole one (--finetune=compact).
    """

    name: str
    steps: int
    batch_size: int
    learning_rate: LearningRate
    callbacks: Callbacks = no_callbacks
    start: tuple[Action, ...] = ()
    end: tuple[Action, ...] = ()
    first_step: int = 0
    shareable: bool = False
    compactable: bool = False


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
      name: Its name in --method.
      reference: The paper.
      phases: Lays out a recipe as phases.
      needs_sparsity: Whether a sparsity must be given.
      allocation: Default of --allocation.
      fixed_counts: Whether it must know beforehand how many weights each tensor keeps.
      takes_weights: Whether it can start from the user's own trained weights.
      narrows: Whether its network is a narrower one with as many parameters as the others leave non-zero.
    """

    name: str
    reference: str
    phases: Callable[[Recipe], list[Phase]]
    needs_sparsity: bool = True
    allocation: str = "uniform"
    fixed_counts: bool = False
    takes_weights: bool = False
    narrows: bool = False
