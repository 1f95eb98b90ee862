"""gmp: gradual magnitude pruning, on tf-mot's own schedule."""

from dlth_tf import callbacks
from dlth_tf.methods.intervals import within_reach
from dlth_tf.methods.phase import Method, Phase, Recipe

EVERY = 100  # steps, tf-mot's own default


def phases(recipe: Recipe) -> list[Phase]:
    """One training of the dense network, whose smallest weights go step by step from a quarter to half of it.

    s(t) = s_f (1 - (1 - (t - t0) / (t1 - t0))^3), tf-mot's PolynomialDecay; where it begins and ends is our choice: so the
    network has learned something before, and the default learning rates become small only when the last weights have gone.
    """
    begin, end = max(1, recipe.train_steps // 4), max(1, recipe.train_steps // 2)
    every = within_reach("gmp", EVERY, recipe.train_steps)

    def prune() -> list[callbacks.GradualMagnitude]:
        return [callbacks.GradualMagnitude(recipe.sparsity, begin=begin, end=end, every=every, **recipe.ticket_options)]

    return [Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, prune)]


METHOD = Method("gmp", "Zhu and Gupta, To Prune, or Not to Prune, 2017, arXiv:1710.01878", phases, fixed_counts=True)
