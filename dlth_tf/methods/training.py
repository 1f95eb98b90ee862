"""The phases that methods share: a full training, or one round of it, with what is removed kept removed."""

from __future__ import annotations

from typing import Any

from dlth_tf import callbacks
from dlth_tf.methods.phase import Action, Phase, Recipe, Watch


def dense_training(recipe: Recipe, end: tuple[Action, ...] = ()) -> Phase:
    """A full training of the whole network."""
    return Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, end=end)


def dense_round(recipe: Recipe, name: str, end: tuple[Action, ...], watch: Watch) -> Phase:
    """The first round of an iterative method, on the whole network."""
    rate = recipe.learning_rate.stretched(recipe.round_steps / recipe.train_steps)
    return Phase(name, recipe.round_steps, recipe.batch_size, rate, end=end, watch=watch)


def finetune(recipe: Recipe, start: tuple[Action, ...] = (), first_step: int = 0) -> Phase:
    """A full training of the sparse network, or what is left of one from `first_step` on."""
    return _sparse_training("finetune", recipe, recipe.train_steps, start, (), first_step)


def round_of_training(
    recipe: Recipe, name: str, start: tuple[Action, ...] = (), end: tuple[Action, ...] = (), first_step: int = 0
) -> Phase:
    """One round of an iterative method, on the sparse network."""
    return _sparse_training(name, recipe, recipe.round_steps, start, end, first_step)


def _sparse_training(
    name: str, recipe: Recipe, steps: int, start: tuple[Action, ...], end: tuple[Action, ...], first_step: int
) -> Phase:
    rate = recipe.learning_rate.stretched(steps / recipe.train_steps).resumed_at(first_step)
    return Phase(name, steps - first_step, recipe.batch_size, rate, keep_mask, start, end, first_step)


def keep_mask() -> list[Any]:
    """What every training of a sparse network needs."""
    return [callbacks.KeepMask()]
