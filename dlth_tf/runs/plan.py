"""From a RunConfig and the size of the data to the phases of its method. Does not import TensorFlow."""

from __future__ import annotations

import dataclasses
import math

from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, LearningRate, Phase, Recipe
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.config_checks import PICKS
from dlth_tf.runs.duration import Duration


def make_recipe(config: RunConfig, examples: int) -> Recipe:
    """Resolves a configuration to optimizer steps.

    Args:
      config: Configuration of the run.
      examples: Number of training images.

    Raises:
      BadInput: If a batch is larger than the data, or the rewind step is not within a round.
    """
    for name in ("batch_size", "transform_batch_size"):
        if getattr(config, name) > examples:
            raise BadInput(
                name,
                getattr(config, name),
                f"must be at most {examples}, the number of training images of {config.dataset}",
            )
    per_epoch = examples // config.batch_size
    transform_per_epoch = examples // config.transform_batch_size
    train_steps = Duration.parse(config.epochs).steps(per_epoch)
    round_steps = Duration.parse(config.round_epochs or config.epochs).steps(per_epoch)
    rewind_step = Duration.parse(config.rewind_step, "it").steps(per_epoch)
    shortest = min(train_steps, round_steps)
    if rewind_step >= shortest:
        raise BadInput("rewind_step", config.rewind_step, f"must be below {shortest}, the number of steps of a round")
    return Recipe(
        spec=config.spec,
        seed=config.seed,
        ticket_pick=PICKS[config.ticket_pick],
        train_steps=train_steps,
        batch_size=config.batch_size,
        learning_rate=_learning_rate(config, per_epoch, train_steps),
        penalty=config.penalty(transform_per_epoch),
        transform_batch_size=config.transform_batch_size,
        transform_lr=config.transform_lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        cycles=config.cycles,
        round_steps=round_steps,
        rewind_step=rewind_step,
        delete_between_cycles=config.delete_between_cycles,
        finetune_between_cycles=config.finetune_between_cycles,
        steps_per_epoch=per_epoch,
        trained=config.init_weights is not None,
    )


def _learning_rate(config: RunConfig, steps_per_epoch: int, train_steps: int) -> LearningRate:
    """The learning rate of a full training; its lists have no spaces, since the configuration has been validated."""
    values = tuple(float(value) for value in str(config.lr_values).split(","))
    boundaries: tuple[int, ...]
    if config.lr_boundaries is not None:
        words = config.lr_boundaries.split(",")
        boundaries = tuple(Duration.parse(word).steps(steps_per_epoch) for word in words)
    else:
        boundaries = () if len(values) == 1 else (train_steps // 2, train_steps * 3 // 4)
    if list(boundaries) != sorted(boundaries):
        raise BadInput("lr_boundaries", config.lr_boundaries, "must be in increasing order")
    return LearningRate(values, boundaries)


def make_phases(method: str, recipe: Recipe, rate_factor: float = 1.0) -> list[Phase]:
    """Returns the phases of a method.

    Args:
      method: Name of the method.
      recipe: The resolved configuration.
      rate_factor: Multiplies the learning rates of all phases (--scale_lr).
    """
    return [
        dataclasses.replace(phase, learning_rate=phase.learning_rate.scaled(rate_factor))
        for phase in METHODS.load(method).phases(recipe)
    ]


def epochs_of(phase: Phase, examples: int) -> int:
    """Returns the number of epochs that a phase covers; the last one may be partial."""
    return math.ceil(phase.steps / (examples // phase.batch_size))
