"""Actions on ticket and weights at the start or the end of a phase."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from dlth_tf import masking, scores
from dlth_tf.callbacks.snapshot_at import SnapshotAt
from dlth_tf.core import Round, Ticket
from dlth_tf.core.masks import FIRST
from dlth_tf.methods.phase import Action, Network, reads

SYNFLOW_ROUNDS = 100  # Tanaka et al., NeurIPS 2020
Weights = Mapping[str, Any]


@reads("ticket_pick")
def draw_ticket(network: Network) -> None:
    """Chooses the recipe's ticket (random unless --ticket_pick names another); nothing is removed yet."""
    masking.apply_ticket(network.model, _pick(network, FIRST))


def draw_ticket_of_cycle(cycle: int) -> Action:
    """Chooses the recipe's ticket of a cycle, inside the one before; weights that are removed stay removed."""

    @reads("ticket_pick", "cycles", "delete_between_cycles")
    def draw(network: Network) -> None:
        ticket = _pick(network, Round(cycle, network.recipe.cycles, masking.chosen_ticket(network.model)))
        if network.recipe.delete_between_cycles:
            masking.choose(network.model, ticket)
        else:
            masking.apply_ticket(network.model, ticket)

    return draw


def _pick(network: Network, round: Round) -> Ticket:
    recipe = network.recipe
    return masking.pick_ticket(network.model, recipe.spec, recipe.ticket_pick, recipe.seed, round)


def draw_winning_ticket(network: Network) -> None:
    """Chooses the weights of largest trained magnitude (Frankle and Carbin, ICLR 2019), layerwise by default (DLTH)."""
    draw_winning_ticket_of_round(1, of=1)(network)


def draw_winning_ticket_of_round(number: int, of: int | None = None) -> Action:
    """Chooses the winning ticket of one round of several; only weights that are not removed yet can be removed."""

    @reads(*(() if of else ("cycles",)))
    def draw(network: Network) -> None:
        recipe = network.recipe
        round = Round(number, of or recipe.cycles, masking.chosen_ticket(network.model))
        masking.choose(network.model, masking.pick_ticket(network.model, recipe.spec, "magnitude_min", round=round))

    return draw


@reads("rewind_step")
def snapshot_for_rewinding(network: Network) -> list[Any]:
    """Returns the callback that keeps the weights of the rewind step for `rewind`; none at step 0, the initial ones."""

    def take() -> None:
        network.initial = masking.weight_arrays(network.model)
        network.initial_changed = True

    return [SnapshotAt(network.recipe.rewind_step, take)] if network.recipe.rewind_step else []


def remove(network: Network) -> None:
    """Removes the weights outside the ticket, and notes the accuracy before and after."""
    network.before_removal = network.evaluate()
    masking.remove(network.model)
    network.after_removal = network.evaluate()


def remove_squeezed(network: Network) -> None:
    """Removes the weights outside the ticket after a transformation; warns if the penalty has not squeezed them."""
    masking.warn_unless_squeezed(network.model)
    remove(network)


def rewind(network: Network) -> None:
    """Restores every weight and running statistic of the start, or of the rewind step; removed weights stay removed."""
    masking.rewind(network.model, network.initial)


def draw_by_snip(network: Network) -> None:
    """Chooses the ticket by SNIP's scores of one batch."""
    images, labels = network.inputs.batch("snip", network.recipe.batch_size)
    _draw_by(network, "snip", lambda weights: scores.snip(network.model, weights, images, labels))


def draw_by_grasp(network: Network) -> None:
    """Chooses the ticket by GraSP's scores of a balanced sample: 10 images of every class, at most 1,000 in all."""
    per_class = max(1, min(10, 1000 // network.inputs.num_classes))
    batches = network.inputs.balanced("grasp", per_class, network.recipe.batch_size)
    _draw_by(network, "grasp", lambda weights: scores.grasp(network.model, weights, batches))


def _draw_by(network: Network, pick: str, score: Callable[[Weights], Any]) -> None:
    spec = network.recipe.spec
    ticket = masking.draw_ticket(network.model, spec, lambda entries: score(_variables(entries)), pick)
    masking.choose(network.model, ticket)


def draw_by_synflow(network: Network) -> None:
    """Chooses the ticket by SynFlow's scores, in 100 rounds that each keep the same fraction of what remains."""
    spec = network.recipe.spec
    weights = _variables(masking.prunable_of_ticket(network.model, spec))
    flow = scores.SynapticFlow(network.model, weights, network.inputs.image_shape)
    ticket: Ticket | None = None
    for number in range(1, SYNFLOW_ROUNDS + 1):
        round = Round(number, SYNFLOW_ROUNDS, ticket)
        score = functools.partial(_flow_score, flow, ticket or {})
        ticket = masking.draw_ticket(network.model, spec, score, "synflow", round)
    assert ticket is not None
    masking.choose(network.model, ticket)


def _flow_score(flow: scores.SynapticFlow, masks: Weights, entries: Weights) -> Any:
    return flow.score(masks)


def _variables(entries: Mapping[str, Any]) -> Weights:
    return {name: entry.weight for name, entry in entries.items()}
