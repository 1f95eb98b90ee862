"""lth_long: the one-shot winning ticket, trained for longer, so that the run sees as many images as rst in all."""

import dataclasses
import math

from dlth_tf.methods.actions import draw_winning_ticket, remove, rewind
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Trains like lth, with a longer second training: `lth` at the budget of `rst`, never below its own.

    `rst` sees the images of its transformation and those of one full training, which is here the dense one; so the
    ticket is trained for as many images as the transformation has, its learning rates stretched in proportion.
    """
    images = recipe.penalty.steps * recipe.transform_batch_size
    steps = max(recipe.train_steps, math.ceil(images / recipe.batch_size))
    rate = recipe.learning_rate.stretched(steps / recipe.train_steps)
    return [
        dense_training(recipe, end=(draw_winning_ticket, remove, rewind)),
        dataclasses.replace(finetune(recipe), steps=steps, learning_rate=rate),
    ]


METHOD = Method("lth_long", "control of this package for Bai et al., ICLR 2022, arXiv:2203.04248", phases)
