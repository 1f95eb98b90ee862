"""l1_iter: prune a trained network by magnitude in n cycles, with a finetune after each."""

from dlth_tf.methods.actions import draw_winning_ticket_of_round, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune, round_of_training


def phases(recipe: Recipe) -> list[Phase]:
    """Train; n times remove the smallest magnitudes up to the sparsity 1 - (1 - p)^(c/n) and finetune, the last time in full."""
    found = [] if recipe.trained else [dense_training(recipe)]
    for cycle in range(1, recipe.cycles):
        found.append(
            round_of_training(recipe, f"finetune_{cycle}", start=(draw_winning_ticket_of_round(cycle), remove))
        )
    return [*found, finetune(recipe, start=(draw_winning_ticket_of_round(recipe.cycles), remove))]


METHOD = Method(
    "l1_iter",
    "Han et al., NeurIPS 2015, arXiv:1506.02626, in cycles as the baseline L1-Iter of DLTH",
    phases,
    takes_weights=True,
)
