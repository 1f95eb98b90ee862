"""lth: the winning ticket of the Lottery Ticket Hypothesis, found in one shot."""

from dlth_tf.methods.actions import draw_winning_ticket, remove, rewind
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Train the dense network; keep the largest magnitudes of every layer; rewind to the initial weights; finetune."""
    return [dense_training(recipe, end=(draw_winning_ticket, remove, rewind)), finetune(recipe)]


METHOD = Method(
    "lth",
    "Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019, arXiv:1803.03635 (one-shot, layerwise as in DLTH)",
    phases,
)
