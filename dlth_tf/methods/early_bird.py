"""early_bird: a ticket drawn early in training, as soon as it hardly changes any more."""

import functools
from typing import Any

from dlth_tf.core.settled_masks import WINDOW
from dlth_tf.methods.actions import remove
from dlth_tf.methods.intervals import window_within_reach
from dlth_tf.methods.phase import Method, Network, Phase, Recipe


def phases(recipe: Recipe) -> list[Phase]:
    """One training; before an epoch the ticket is drawn once its last 5 forms differ by at most .1, or when half is over.

    Channels by batch norm's |gamma| with granularity filter, as published; single weights by magnitude otherwise, our form.
    """
    epochs = -(-recipe.train_steps // recipe.steps_per_epoch)
    last_epoch = epochs // 2 + 1
    window = window_within_reach("early_bird", WINDOW, epochs, last_epoch)

    def search(network: Network) -> list[Any]:
        from dlth_tf import callbacks

        drawn = functools.partial(_remove, network)
        return [
            callbacks.EarlyBird(
                recipe.sparsity, last_epoch=last_epoch, window=window, remove=drawn, **recipe.ticket_options
            )
        ]

    return [Phase("train", recipe.train_steps, recipe.batch_size, recipe.learning_rate, watch=search)]


def _remove(network: Network, _: Any) -> None:
    remove(network)


METHOD = Method("early_bird", "You et al., Drawing Early-Bird Tickets, ICLR 2020, arXiv:1909.11957", phases)
