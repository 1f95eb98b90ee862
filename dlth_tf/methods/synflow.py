"""synflow: synaptic flow in 100 exponential rounds, without data, before any training."""

from dlth_tf.methods.actions import draw_by_synflow, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Scores the initial weights, keeps the highest, and finetunes."""
    return [finetune(recipe, start=(draw_by_synflow, remove))]


METHOD = Method(
    "synflow",
    "Tanaka et al., Pruning Neural Networks Without Any Data, NeurIPS 2020, arXiv:2006.05467",
    phases,
    allocation="global",
)
