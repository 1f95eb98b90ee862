"""gmp: gradual magnitude pruning, on tf-mot's own schedule."""

from typing import Any

from dlth_tf import callbacks
from dlth_tf.methods.intervals import within_reach
from dlth_tf.methods.phase import Method, Network, Phase, Recipe

EVERY = 100  # steps, tf-mot's own default


def phases(recipe: Recipe) -> list[Phase]:
    """Trains the dense network once, and prunes its smallest weights step by step from a quarter to half of it.

    s(t) = s_f (1 - (1 - (t - t0) / (t1 - t0))^3), tf-mot's PolynomialDecay. Its begin and end are our choice: the
    network has learned something before, and the default learning rates decrease only after the last pruning.
    """
    begin = max(1, recipe.train_steps // 4)
    end = max(1, recipe.train_steps // 2)

    def prune(network: Network) -> list[Any]:
        every = within_reach("gmp", EVERY, recipe.train_steps)
        return [callbacks.GradualMagnitude(**recipe.spec.arguments, begin=begin, end=end, every=every)]

    return [Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, prune)]


METHOD = Method("gmp", "Zhu and Gupta, To Prune, or Not to Prune, 2017, arXiv:1710.01878", phases, fixed_counts=True)
