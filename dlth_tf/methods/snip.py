"""snip: connection sensitivity on one batch, before any training."""

from dlth_tf.methods.actions import draw_by_snip, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Scores the initial weights, keeps the highest, and finetunes."""
    return [finetune(recipe, start=(draw_by_snip, remove))]


METHOD = Method("snip", "Lee et al., SNIP, ICLR 2019, arXiv:1810.02340", phases, allocation="global")
