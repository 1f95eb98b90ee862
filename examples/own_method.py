"""A custom method: a name, a reference, and a list of phases."""

# Trains the whole network for a quarter of a full training, then removes all weights
# outside a random ticket and finetunes: a control for whether any training before the
# removal has the effect of the transformation.

from __future__ import annotations

from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Trains without a penalty, draws a random ticket, removes, finetunes."""
    steps = max(1, recipe.train_steps // 4)
    rate = recipe.learning_rate.stretched(steps / recipe.train_steps)
    return [
        Phase("warm_up", steps, recipe.batch_size, rate, end=(draw_ticket, remove)),
        finetune(recipe),
    ]


METHOD = Method("warm_up", "an example of this package, not published", phases)
