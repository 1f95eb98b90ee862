"""ste: the network uses its largest weights, and all are trained."""

from dlth_tf import callbacks
from dlth_tf.methods.phase import Method, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """One training: w' = w * topk(|w|) in the forward pass, the gradient at w' is applied to all of w."""

    def straight_through() -> list[callbacks.StraightThrough]:
        return [callbacks.StraightThrough(recipe.sparsity, **recipe.ticket_options)]

    return [Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, straight_through)]


METHOD = Method(
    "ste",
    "Bengio et al., 2013, arXiv:1308.3432, with top-k as in jaxpruner, arXiv:2304.14082",
    phases,
    fixed_counts=True,
)
