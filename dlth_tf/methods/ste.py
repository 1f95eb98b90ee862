"""ste: a network that uses its largest weights, while all are trained."""

from typing import Any

from dlth_tf import callbacks
from dlth_tf.methods.phase import Method, Network, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """Trains once: w' = w * topk(|w|) in the forward pass, the gradient at w' is applied to all of w."""

    def straight_through(network: Network) -> list[Any]:
        return [callbacks.StraightThrough(**recipe.spec.arguments)]

    return [Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, straight_through)]


METHOD = Method(
    "ste",
    "Bengio et al., 2013, arXiv:1308.3432, with top-k as in jaxpruner, arXiv:2304.14082",
    phases,
    fixed_counts=True,
)
