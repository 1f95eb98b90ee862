"""small_dense: an ordinary dense network with as many non-zero weights as the sparse ones."""

from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training


def phases(recipe: Recipe) -> list[Phase]:
    """Trains once, a network so narrow that it has as many parameters as the sparse network has non-zero ones."""
    return [dense_training(recipe)]


METHOD = Method(
    "small_dense",
    "control of this package: width instead of sparsity, as in Evci et al., ICML 2020",
    phases,
    narrows=True,
)
