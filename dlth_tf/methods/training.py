"""The phase that every method shares: a full training by the recipe, with what is removed kept removed."""

from __future__ import annotations

from dlth_tf import callbacks
from dlth_tf.methods.phase import Action, Phase, Recipe


def dense_training(recipe: Recipe, end: tuple[Action, ...] = ()) -> Phase:
    """A full training of the whole network."""
    return Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, end=end)


def finetune(recipe: Recipe, start: tuple[Action, ...] = ()) -> Phase:
    """A full training of the sparse network."""
    return Phase("finetune", recipe.train_steps, recipe.batch_size, recipe.learning_rate, lambda: [callbacks.KeepMask()], start)
