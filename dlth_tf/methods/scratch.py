"""scratch: a random ticket trained directly, the baseline of RST."""

from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Draws a random ticket, removes all other weights, and finetunes."""
    return [finetune(recipe, start=(draw_ticket, remove))]


METHOD = Method(
    "scratch", "Bai et al., Dual Lottery Ticket Hypothesis, ICLR 2022, arXiv:2203.04248 (baseline Scratch)", phases
)
