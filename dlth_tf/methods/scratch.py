"""scratch: a random ticket trained directly, what RST has to beat."""

from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """A random ticket is drawn, everything else removed; finetune."""
    return [finetune(recipe, start=(draw_ticket, remove))]


METHOD = Method(
    "scratch", "Bai et al., Dual Lottery Ticket Hypothesis, ICLR 2022, arXiv:2203.04248 (baseline Scratch)", phases
)
