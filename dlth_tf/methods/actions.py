"""What may happen to ticket and weights at the start or the end of a phase. TensorFlow is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from dlth_tf.core import Ticket
from dlth_tf.methods.phase import Action, Network

SYNFLOW_ROUNDS = 100  # Tanaka et al., NeurIPS 2020


def draw_ticket(network: Network) -> None:
    """Chooses the recipe's ticket (random unless --ticket_pick says otherwise); nothing is removed yet."""
    from dlth_tf import callbacks, masking

    recipe = network.recipe
    picker = callbacks.RandomMask(recipe.sparsity, recipe.seed, pick=recipe.ticket_pick, **recipe.ticket_options)
    masking.apply_ticket(network.model, picker.draw(network.model))


def draw_ticket_of_cycle(cycle: int) -> Action:
    """Chooses the recipe's ticket at the cumulative sparsity of `cycle`, inside the one before; what is removed stays removed."""

    def draw(network: Network) -> None:
        from dlth_tf import callbacks, masking

        recipe = network.recipe
        picker = callbacks.RandomMask(recipe.sparsity, recipe.seed, pick=recipe.ticket_pick, **recipe.ticket_options)
        within = masking.chosen_ticket(network.model)
        ticket = picker.draw(network.model, cycle=(cycle, recipe.cycles), within=within)
        if recipe.delete_between_cycles:
            masking.choose(network.model, ticket)
        else:
            masking.apply_ticket(network.model, ticket)

    return draw


def draw_winning_ticket(network: Network) -> None:
    """Chooses the weights of largest trained magnitude (Frankle and Carbin, ICLR 2019), layer by layer as in DLTH by default."""
    draw_winning_ticket_of_round(1, of=1)(network)


def draw_winning_ticket_of_round(number: int, of: int | None = None) -> Action:
    """The same at the cumulative sparsity of one round of several: only weights that are still there can be removed."""

    def draw(network: Network) -> None:
        from dlth_tf import masking

        recipe = network.recipe
        cycle = (number, of or recipe.cycles)
        ticket = masking.magnitude_ticket(
            network.model,
            recipe.sparsity,
            cycle=cycle,
            within=masking.chosen_ticket(network.model),
            **recipe.ticket_options,
        )
        masking.choose(network.model, ticket)

    return draw


def snapshot_for_rewinding(network: Network) -> list[Any]:
    """A callback that makes the weights of the recipe's rewind step those that `rewind` puts back (step 0: the initial ones)."""
    from dlth_tf import masking
    from dlth_tf.callbacks.snapshot_at import SnapshotAt

    def take() -> None:
        network.initial = {name: variable.numpy() for name, variable in masking.named_weights(network.model).items()}
        network.initial_changed = True

    return [SnapshotAt(network.recipe.rewind_step, take)] if network.recipe.rewind_step else []


def remove(network: Network) -> None:
    """Removes what the ticket does not keep, and notes the accuracy before and after."""
    from dlth_tf import masking

    network.before_removal = network.evaluate()
    masking.remove(network.model)
    network.after_removal = network.evaluate()


def rewind(network: Network) -> None:
    """Puts every weight and running statistic back to its initial value, or that of the rewind step; what is removed stays so."""
    from dlth_tf import masking

    masking.rewind(network.model, network.initial)


def draw_by_snip(network: Network) -> None:
    """Chooses the ticket by SNIP's scores of one batch."""
    from dlth_tf import scores

    images, labels = network.samples.batch("snip", network.recipe.batch_size)
    _draw_by(network, "snip", lambda weights: scores.snip(network.model, weights, images, labels))


def draw_by_grasp(network: Network) -> None:
    """Chooses the ticket by GraSP's scores of a balanced sample: 10 images of every class, in all at most 1,000."""
    from dlth_tf import scores

    classes = network.samples.data.num_classes
    batches = network.samples.balanced("grasp", max(1, min(10, 1000 // classes)), network.recipe.batch_size)
    _draw_by(network, "grasp", lambda weights: scores.grasp(network.model, weights, batches))


def _draw_by(network: Network, pick: str, score: Callable[[dict[str, Any]], Any]) -> None:
    from dlth_tf import masking

    recipe = network.recipe
    ticket = masking.score_ticket(
        network.model, recipe.sparsity, lambda entries: score(_variables(entries)), pick, **recipe.ticket_options
    )
    masking.choose(network.model, ticket)


def draw_by_synflow(network: Network) -> None:
    """Chooses the ticket by SynFlow's scores, in 100 rounds that each keep the same share of what they find."""
    from dlth_tf import masking, scores

    recipe, shape = network.recipe, network.samples.data.image_shape
    entries = masking.prunable_of_ticket(
        network.model, recipe.ticket_options["dense_layers"], recipe.ticket_options["granularity"]
    )
    flow, ticket = scores.SynapticFlow(network.model, _variables(entries), shape), None
    for number in range(1, SYNFLOW_ROUNDS + 1):
        found = flow.score(ticket or {})
        ticket = masking.score_ticket(
            network.model,
            recipe.sparsity,
            lambda _, found=found: found,  # type: ignore[misc]  # mypy infers no lambda with a default
            "synflow",
            cycle=(number, SYNFLOW_ROUNDS),
            within=ticket,
            **recipe.ticket_options,
        )
    masking.choose(network.model, cast(Ticket, ticket))


def _variables(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.weight for name, entry in entries.items()}
