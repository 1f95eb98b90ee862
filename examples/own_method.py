"""A method of your own: a name, a reference, and a list of phases."""

# Trains the whole network for a quarter of a training, then removes a random ticket's complement and finetunes: a control that
# asks whether any training before the removal does what the transformation does.

from __future__ import annotations

from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Train without a penalty, draw the ticket that scratch and rst have too, remove the rest; finetune."""
    steps = max(1, recipe.train_steps // 4)
    rate = recipe.learning_rate.stretched(steps / recipe.train_steps)
    return [Phase("warm_up", steps, recipe.batch_size, rate, end=(draw_ticket, remove)), finetune(recipe)]


METHOD = Method("warm_up", "an example of this package, not published", phases)
