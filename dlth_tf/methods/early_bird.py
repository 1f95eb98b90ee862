"""early_bird: a ticket drawn early in training, as soon as it hardly changes."""

from typing import Any

from dlth_tf import callbacks
from dlth_tf.core.settled_masks import WINDOW
from dlth_tf.methods.actions import remove
from dlth_tf.methods.intervals import window_within_reach
from dlth_tf.methods.phase import Method, Network, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """Trains once; draws the ticket once the masks of 5 epochs differ by at most .1, or after half of the epochs.

    Channels by batch norm's |gamma| with granularity filter, as published; single weights by magnitude otherwise, our
    variant.
    """
    epochs = -(-recipe.train_steps // recipe.steps_per_epoch)
    last_epoch = epochs // 2 + 1

    def search(network: Network) -> list[Any]:
        window = window_within_reach("early_bird", WINDOW, epochs, last_epoch)

        def remove_weights(model: Any) -> None:
            remove(network)

        arguments = recipe.spec.arguments
        return [callbacks.EarlyBird(**arguments, last_epoch=last_epoch, window=window, remove=remove_weights)]

    return [Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, search)]


METHOD = Method("early_bird", "You et al., Drawing Early-Bird Tickets, ICLR 2020, arXiv:1909.11957", phases)
