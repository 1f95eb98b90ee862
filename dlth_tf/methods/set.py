"""set: sparse evolutionary training: the smallest weights are exchanged for random others."""

from dlth_tf.methods.dynamic import exchanged_while_trained
from dlth_tf.methods.phase import Method, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """A random ticket; k = int(f(t) * active) weights of smallest |w| are exchanged for random ones, f(0) = .3 falling by cosine."""
    return [exchanged_while_trained(recipe, "set", grow="random")]


METHOD = Method(
    "set",
    "Mocanu et al., Scalable training of artificial neural networks with adaptive sparse connectivity, Nature Communications 2018, "
    "arXiv:1707.04780",
    phases,
    fixed_counts=True,
)
