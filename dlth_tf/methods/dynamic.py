"""The phase that set and rigl share: a random ticket whose weights are exchanged during training."""

from __future__ import annotations

import dataclasses
from typing import Any

from dlth_tf import callbacks
from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.intervals import within_reach
from dlth_tf.methods.phase import Network, Phase, Recipe
from dlth_tf.methods.training import finetune

EVERY = 100  # steps (Evci et al., ICML 2020, section 3 and appendix)
STOP = 0.75  # of the training (the same)
LEAST = 5  # steps; a step that exchanges weights trains none


def dynamic_training(recipe: Recipe, method: str, grow: str) -> Phase:
    """Returns a training of a random ticket that exchanges its smallest weights every 100 steps, up to 75 % of it."""
    stop = max(1, int(STOP * recipe.train_steps))

    def exchange(network: Network) -> list[Any]:
        every = within_reach(method, EVERY, recipe.train_steps, LEAST)
        granularity = recipe.spec.granularity.text
        return [callbacks.DynamicSparsity(grow, seed=recipe.seed, every=every, stop=stop, granularity=granularity)]

    return dataclasses.replace(finetune(recipe, start=(draw_ticket, remove)), callbacks=exchange, compactable=False)
