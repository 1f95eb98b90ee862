"""lth: the winning ticket of the Lottery Ticket Hypothesis, found in one shot."""

from dlth_tf.methods.actions import draw_winning_ticket, remove, rewind
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import dense_training, finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Trains the dense network, keeps the largest magnitudes of every layer, rewinds to the start, and finetunes."""
    return [dense_training(recipe, end=(draw_winning_ticket, remove, rewind)), finetune(recipe)]


METHOD = Method(
    "lth",
    "Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019, arXiv:1803.03635 (one-shot, layerwise as in DLTH)",
    phases,
)
