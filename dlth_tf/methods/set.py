"""set: sparse evolutionary training: the smallest weights are exchanged for random others."""

from dlth_tf.methods.dynamic import dynamic_training
from dlth_tf.methods.phase import Method, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """Trains a random ticket; exchanges k = int(f(t) * active) weights of smallest |w| for random ones.

    f(0) = .3, falling by a cosine.
    """
    return [dynamic_training(recipe, "set", grow="random")]


METHOD = Method(
    "set",
    "Mocanu et al., Scalable training of artificial neural networks with adaptive sparse connectivity, "
    "Nature Communications 2018, arXiv:1707.04780",
    phases,
    fixed_counts=True,
)
