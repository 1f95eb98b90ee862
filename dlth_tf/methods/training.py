"""Phases that methods share: a transformation, a full training, or one round of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from dlth_tf import callbacks
from dlth_tf.methods.actions import snapshot_for_rewinding
from dlth_tf.methods.phase import Action, LearningRate, Network, Phase, Recipe

Actions = tuple[Action, ...]


def dense_training(recipe: Recipe, end: Actions = ()) -> Phase:
    """Returns a full training of the whole network."""
    return Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, end=end, shareable=True)


def dense_round(recipe: Recipe, name: str, end: Actions) -> Phase:
    """Returns the first round of an iterative method, on the whole network; it keeps the weights of the rewind step."""
    rate = recipe.learning_rate.stretched(recipe.round_steps / recipe.train_steps)
    return Phase(
        name,
        recipe.round_steps,
        recipe.batch_size,
        rate,
        callbacks=snapshot_for_rewinding,
        end=end,
        shareable=True,
    )


def transform(recipe: Recipe, name: str, start: Actions, end: Actions) -> Phase:
    """Returns a transformation (RST): trains all weights under a growing penalty on those outside the ticket."""

    def penalty(network: Network) -> list[Any]:
        # The runner ends phases exactly and `remove` notes the accuracy before and after, so the callback does neither.
        arguments = recipe.penalty.arguments
        return [callbacks.RSTPenalty(**arguments, remove_at_end=False, shorten_last_execution=True)]

    rate = LearningRate((recipe.transform_lr,))
    return Phase(name, recipe.penalty.steps, recipe.transform_batch_size, rate, penalty, start, end)


def finetune(recipe: Recipe, start: Actions = (), first_step: int = 0) -> Phase:
    """Returns a full training of the sparse network, or the rest of one from `first_step` on."""
    rate = recipe.learning_rate
    phase = Phase("finetune", recipe.train_steps, recipe.batch_size, rate, keep_mask, start, compactable=True)
    return _rest(phase, first_step)


def round_of_training(recipe: Recipe, name: str, start: Actions = (), end: Actions = (), first_step: int = 0) -> Phase:
    """Returns one round of an iterative method, on the sparse network, or the rest of one from `first_step` on."""
    rate = recipe.learning_rate.stretched(recipe.round_steps / recipe.train_steps)
    phase = Phase(name, recipe.round_steps, recipe.batch_size, rate, keep_mask, start, end, compactable=True)
    return _rest(phase, first_step)


def _rest(phase: Phase, first_step: int) -> Phase:
    """The phase from `first_step` of its training on."""
    rate = phase.learning_rate.resumed_at(first_step)
    return dataclasses.replace(phase, steps=phase.steps - first_step, learning_rate=rate, first_step=first_step)


def keep_mask(network: Network) -> list[Any]:
    """Returns the callback that every training of a sparse network needs, unless all zeros have been taken out."""
    return [callbacks.KeepMask()] if network.compact is None or network.compact.has_masks else []
