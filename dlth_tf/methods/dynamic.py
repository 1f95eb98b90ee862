"""What set and rigl share: a random ticket whose weights are exchanged while it trains."""

from __future__ import annotations

import dataclasses

from dlth_tf import callbacks
from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.intervals import within_reach
from dlth_tf.methods.phase import Phase, Recipe
from dlth_tf.methods.training import finetune

EVERY, STOP = 100, 0.75  # steps, and share of the training (Evci et al., ICML 2020, section 3 and appendix)
LEAST = 5  # steps; a step that exchanges weights trains none


def exchanged_while_trained(recipe: Recipe, method: str, grow: str) -> Phase:
    """A full training of a random ticket; every 100 steps up to 75 % of it the smallest weights are exchanged for others."""
    every = within_reach(method, EVERY, recipe.train_steps, LEAST)

    def exchange() -> list[callbacks.DynamicSparsity]:
        stop, granularity = max(1, int(STOP * recipe.train_steps)), recipe.ticket_options["granularity"]
        return [callbacks.DynamicSparsity(grow, seed=recipe.seed, every=every, stop=stop, granularity=granularity)]

    return dataclasses.replace(finetune(recipe, start=(draw_ticket, remove)), callbacks=exchange)
