"""grasp: gradient flow on a balanced sample, before any training."""

from dlth_tf.methods.actions import draw_by_grasp, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Scores the initial weights, keeps the highest, and finetunes."""
    return [finetune(recipe, start=(draw_by_grasp, remove))]


METHOD = Method(
    "grasp",
    "Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, ICLR 2020, arXiv:2002.07376",
    phases,
    allocation="global",
)
