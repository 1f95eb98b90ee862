"""l1_iter: magnitude pruning of a trained network in n cycles, with a finetune after each."""

from dlth_tf.methods.actions import draw_winning_ticket_of_round, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune, round_of_training


def phases(recipe: Recipe) -> list[Phase]:
    """Trains; n times removes the smallest magnitudes up to 1 - (1 - p)^(c/n) and finetunes, at last in full."""
    layout = [] if recipe.trained else [dense_training(recipe)]
    for cycle in range(1, recipe.cycles):
        layout.append(
            round_of_training(recipe, f"finetune_{cycle}", start=(draw_winning_ticket_of_round(cycle), remove))
        )
    return [*layout, finetune(recipe, start=(draw_winning_ticket_of_round(recipe.cycles), remove))]


METHOD = Method(
    "l1_iter",
    "Han et al., NeurIPS 2015, arXiv:1506.02626, in cycles as the baseline L1-Iter of DLTH",
    phases,
    takes_weights=True,
)
