"""lth_iter: iterative magnitude pruning with rewinding, the search for winning tickets at high sparsity."""

from dlth_tf.methods.actions import draw_winning_ticket_of_round, remove, rewind
from dlth_tf.methods.phase import Action, Method, Phase, Recipe
from dlth_tf.methods.training import dense_round, finetune, round_of_training


def phases(recipe: Recipe) -> list[Phase]:
    """n times trains, removes the smallest magnitudes of the round, and rewinds to step k; then finetunes from there.

    Rewinding restores weights, biases and batch-norm statistics of step k of the first round (0: the initial ones), and
    training resumes at that step of the learning-rate schedule and of the data (Frankle et al., ICML 2020).
    """

    def end(number: int) -> tuple[Action, ...]:
        return draw_winning_ticket_of_round(number), remove, rewind

    first = dense_round(recipe, "round_1", end=end(1))
    later = range(2, recipe.cycles + 1)
    rounds = [
        round_of_training(recipe, f"round_{number}", end=end(number), first_step=recipe.rewind_step) for number in later
    ]
    return [first, *rounds, finetune(recipe, first_step=recipe.rewind_step)]


METHOD = Method(
    "lth_iter",
    "Frankle and Carbin, ICLR 2019, arXiv:1803.03635; rewinding: Frankle et al., Linear Mode Connectivity, ICML 2020, "
    "arXiv:1912.05671",
    phases,
)
