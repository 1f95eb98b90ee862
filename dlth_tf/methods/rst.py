"""rst: Random Sparse Network Transformation, the dual lottery ticket."""

from dlth_tf.methods.actions import draw_ticket, remove_squeezed
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune, transform


def phases(recipe: Recipe) -> list[Phase]:
    """Draws a random ticket, transforms the network, removes the weights outside the ticket, and finetunes the rest.

    The transformation is the paper's *information extrusion*: all weights are trained under a growing L2 penalty on
    those outside the ticket, which moves their information into those that stay.
    """
    return [transform(recipe, "transform", start=(draw_ticket,), end=(remove_squeezed,)), finetune(recipe)]


METHOD = Method(
    "rst", "Bai et al., Dual Lottery Ticket Hypothesis, ICLR 2022, arXiv:2203.04248", phases, takes_weights=True
)
