"""l1: one-shot magnitude pruning of a trained network, then finetuning."""

from dlth_tf.methods.actions import draw_winning_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Trains, keeps the largest magnitudes of every layer, and finetunes from there."""
    dense = [] if recipe.trained else [dense_training(recipe)]
    return [*dense, finetune(recipe, start=(draw_winning_ticket, remove))]


METHOD = Method(
    "l1",
    "Han et al., NeurIPS 2015, arXiv:1506.02626; layer by layer as in Li et al., ICLR 2017 and in DLTH",
    phases,
    takes_weights=True,
)
