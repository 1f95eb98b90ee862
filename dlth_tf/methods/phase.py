"""What a method is made of. Importing this, or any method, does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlth_tf.core import Staircase


@dataclass(frozen=True)
class LearningRate:
    """Piecewise constant: `values[i]` holds until step `boundaries[i]`, counted from the phase's first step."""

    values: tuple[float, ...]
    boundaries: tuple[int, ...] = ()

    def at(self, step: int) -> float:
        """The learning rate of optimizer step `step` (0-based)."""
        return self.values[int(np.searchsorted(self.boundaries, step, side="right"))]

    def stretched(self, factor: float) -> LearningRate:
        """The same values, with every boundary at `factor` times its step."""
        return LearningRate(self.values, tuple(round(boundary * factor) for boundary in self.boundaries))

    def scaled(self, factor: float) -> LearningRate:
        """The same boundaries, with every value times `factor`."""
        return LearningRate(tuple(value * factor for value in self.values), self.boundaries)

    def resumed_at(self, step: int) -> LearningRate:
        """What is left of the schedule from `step` on, which becomes step 0."""
        return LearningRate(self.values, tuple(max(0, boundary - step) for boundary in self.boundaries))


@dataclass(frozen=True)
class Recipe:
    """What the user asked for, resolved to steps: all that a method needs to lay out its phases.

    Attributes:
      sparsity: fraction removed; 0.0 for a method that removes nothing.
      seed: of the ticket.
      ticket_pick: "random", "magnitude_min" or "magnitude_max".
      ticket_options: allocation, granularity and dense_layers, as in `dlth_tf.random_ticket`.
      train_steps: optimizer steps of one full training.
      batch_size: of full trainings.
      learning_rate: of full trainings.
      penalty: the staircase's arguments, as in `core.staircase`.
      staircase: the penalty in the weights' dtype.
      transform_batch_size: of the transformation.
      transform_lr: of the transformation, constant.
      momentum: of every phase.
      weight_decay: of every phase, coupled.
      cycles: of iterative methods.
      round_steps: optimizer steps of one round of an iterative method.
      rewind_step: the step of the first round that weights are rewound to.
      delete_between_cycles: whether RST-Iter removes weights after every cycle.
      finetune_between_cycles: whether RST-Iter finetunes after every cycle.
      steps_per_epoch: of full trainings.
      trained: whether the weights at the start are trained ones of the user's, so that no dense training comes first.
    """

    sparsity: float
    seed: int
    ticket_pick: str
    ticket_options: Mapping[str, Any]
    train_steps: int
    batch_size: int
    learning_rate: LearningRate
    penalty: Mapping[str, Any]
    staircase: Staircase
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


@dataclass
class Network:
    """What the actions of a phase act on: the wrapped model and what is known about it.

    Attributes:
      model: wrapped.
      recipe: of this run.
      initial: the weights that rewinding puts back, by name: those at the very start, or at `rewind_step`.
      samples: training images for scores (`runs.samples.Samples`).
      evaluate: gives {"val_accuracy": ..., "test_accuracy": ...} of the model as it is.
      initial_changed: whether `initial` is not that of the very start any more.
      before_removal: what `evaluate` gave just before weights were removed last.
      after_removal: what it gave just after.
    """

    model: Any
    recipe: Recipe
    initial: Mapping[str, np.ndarray]
    samples: Any
    evaluate: Callable[[], dict[str, float]]
    initial_changed: bool = False
    before_removal: dict[str, float] = field(default_factory=dict)
    after_removal: dict[str, float] = field(default_factory=dict)


Action = Callable[[Network], None]
Watch = Callable[[Network], list[Any]]


def no_watch(network: Network) -> list[Any]:
    """No callbacks that need the network."""
    return []


@dataclass(frozen=True)
class Phase:
    """One training of the network with a fresh optimizer.

    Attributes:
      name: also names the stream of its batches, so phases of the same name see the same data in every method.
      steps: optimizer steps, exactly.
      batch_size: images per step, over all replicas.
      learning_rate: over the steps of this phase.
      callbacks: makes the phase's Keras callbacks.
      start: what happens before the first step, in order.
      end: what happens after the last step, in order.
      first_step: the step of the full training that this phase starts at: its batches are those from there on.
      watch: called with the network before training; gives callbacks that need to know it.
    """

    name: str
    steps: int
    batch_size: int
    learning_rate: LearningRate
    callbacks: Callable[[], list[Any]] = list
    start: tuple[Action, ...] = ()
    end: tuple[Action, ...] = ()
    first_step: int = 0
    watch: Watch = no_watch


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
      name: as in --method.
      reference: the paper it is from.
      phases: lays out a recipe as phases.
      needs_sparsity: whether a sparsity is to be given.
      allocation: the default of --allocation.
      fixed_counts: whether it must know beforehand how many weights of each tensor stay.
      takes_weights: whether it can start from a user's own trained weights.
      narrows: whether its network is a narrower one of as many parameters as the others leave non-zero.
    """

    name: str
    reference: str
    phases: Callable[[Recipe], list[Phase]]
    needs_sparsity: bool = True
    allocation: str = "uniform"
    fixed_counts: bool = False
    takes_weights: bool = False
    narrows: bool = False
