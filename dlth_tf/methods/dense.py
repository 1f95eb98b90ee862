"""dense: the whole network, the reference of the comparison."""

from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training


def phases(recipe: Recipe) -> list[Phase]:
    """Trains once; nothing is removed."""
    return [dense_training(recipe)]


METHOD = Method("dense", "ordinary training", phases, needs_sparsity=False)
