"""From a RunConfig and the size of the data to the phases of its method. Does not import TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from dlth_tf.methods import Phase, Recipe
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.recipe import ConfiguredRecipe, lay_out

OUT_OF_PROPORTION = 10  # times the images of a full training
FINAL = 5  # epochs that are always evaluated, since result.json has their mean


def make_recipe(config: RunConfig, examples: int) -> Recipe:
    """Resolves a configuration to optimizer steps.

    Args:
      config: Configuration of the run.
      examples: Number of training images.

    Raises:
      BadInput: If a batch of the method is larger than the data, or the rewind step is not within a round.
    """
    recipe = ConfiguredRecipe(config, examples)
    lay_out(config.method, recipe)
    return recipe


def make_phases(method: str, recipe: Recipe, rate_factor: float = 1.0) -> list[Phase]:
    """Returns the phases of a method.

    Args:
      method: Name of the method.
      recipe: The resolved configuration.
      rate_factor: Multiplies the learning rates of all phases (--scale_lr).
    """
    return [
        dataclasses.replace(phase, learning_rate=phase.learning_rate.scaled(rate_factor))
        for phase in lay_out(method, recipe)
    ]


def out_of_proportion(phases: Sequence[Phase], recipe: Recipe) -> str | None:
    """Returns a sentence on the first phase that sees many times the examples of a full training, or None.

    Args:
      phases: The phases of a run.
      recipe: The resolved configuration.
    """
    training = recipe.train_steps * recipe.batch_size
    epochs = math.ceil(recipe.train_steps / recipe.steps_per_epoch)
    for phase in phases:
        images = phase.steps * phase.batch_size
        if images > OUT_OF_PROPORTION * training:
            return (
                f"phase {phase.name} ({phase.steps:,} steps) sees {images / training:,.0f} times as many examples as "
                f"a full training (--epochs): --transform_epochs={epochs} makes a transformation as long as that"
            )
    return None


def epochs_of(phase: Phase, examples: int) -> int:
    """Returns the number of epochs that a phase covers; the last one may be partial."""
    return math.ceil(phase.steps / (examples // phase.batch_size))


def is_evaluated(epoch: int, epochs: int, every: int) -> bool:
    """Returns whether the network is evaluated after an epoch: after every few ones, and after each of the last five.

    Args:
      epoch: Number of the epoch in its phase, from 1.
      epochs: Number of epochs of the phase.
      every: Interval in epochs (--evaluate_every).
    """
    return epoch % every == 0 or epoch > epochs - FINAL


def evaluations_of(phase: Phase, examples: int, every: int) -> int:
    """Returns how often the network is evaluated at the ends of the epochs of a phase."""
    epochs = epochs_of(phase, examples)
    return sum(is_evaluated(epoch, epochs, every) for epoch in range(1, epochs + 1))
