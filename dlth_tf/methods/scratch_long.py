"""scratch_long: a random ticket trained directly for as many images as rst sees in all."""

import dataclasses
import math

from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Trains like scratch, with the learning rates stretched in proportion: a control for mere extra training."""
    images = recipe.train_steps * recipe.batch_size + recipe.penalty.steps * recipe.transform_batch_size
    steps = math.ceil(images / recipe.batch_size)
    rate = recipe.learning_rate.stretched(steps / recipe.train_steps)
    return [dataclasses.replace(finetune(recipe, start=(draw_ticket, remove)), steps=steps, learning_rate=rate)]


METHOD = Method("scratch_long", "control of this package for Bai et al., ICLR 2022, arXiv:2203.04248", phases)
