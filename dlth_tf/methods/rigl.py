"""rigl: the smallest weights are exchanged for those with the largest gradients."""

from dlth_tf.methods.dynamic import dynamic_training
from dlth_tf.methods.phase import Method, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """Trains a random ticket; exchanges k = int(f(t) * active) weights of smallest |w| for those of largest |dL/dw|.

    f(0) = .3, falling by a cosine.
    """
    return [dynamic_training(recipe, "rigl", grow="gradient")]


METHOD = Method("rigl", "Evci et al., Rigging the Lottery, ICML 2020, arXiv:1911.11134", phases, fixed_counts=True)
