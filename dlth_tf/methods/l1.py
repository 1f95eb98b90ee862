"""l1: prune a trained network by magnitude once, and finetune what is left."""

from dlth_tf.methods.actions import draw_winning_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Train; keep the largest magnitudes of every layer; finetune from there."""
    found = [] if recipe.trained else [dense_training(recipe)]
    return [*found, finetune(recipe, start=(draw_winning_ticket, remove))]


METHOD = Method(
    "l1",
    "Han et al., NeurIPS 2015, arXiv:1506.02626; layer by layer as in Li et al., ICLR 2017 and in DLTH",
    phases,
    takes_weights=True,
)
