"""What may happen to ticket and weights at the start or the end of a phase. TensorFlow is imported when one runs."""

from __future__ import annotations

from dlth_tf.methods.phase import Network


def draw_ticket(network: Network) -> None:
    """Chooses the recipe's ticket (random unless --ticket_pick says otherwise); nothing is removed yet."""
    from dlth_tf import callbacks, masking

    recipe = network.recipe
    picker = callbacks.RandomMask(recipe.sparsity, recipe.seed, pick=recipe.ticket_pick, **recipe.ticket_options)
    masking.apply_ticket(network.model, picker.draw(network.model))


def draw_winning_ticket(network: Network) -> None:
    """Chooses the weights of largest trained magnitude, layer by layer (Frankle and Carbin, ICLR 2019; layerwise as in DLTH)."""
    from dlth_tf import masking

    recipe = network.recipe
    masking.apply_ticket(network.model, masking.magnitude_ticket(network.model, recipe.sparsity, **recipe.ticket_options))


def remove(network: Network) -> None:
    """Removes what the ticket does not keep, and notes the accuracy before and after."""
    from dlth_tf import masking

    network.before_removal = network.evaluate()
    masking.remove(network.model)
    network.after_removal = network.evaluate()


def rewind(network: Network) -> None:
    """Puts every weight and running statistic back to its initial value; removed weights stay removed."""
    from dlth_tf import masking

    for name, variable in masking.named_weights(network.model).items():
        variable.assign(network.initial[name])
    masking.remove(network.model)
