"""Tickets on a model: drawing one, choosing it, removing what it does not keep."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tf_keras

from dlth_tf import scores
from dlth_tf.core import Ticket, choose_masks, choose_random, parse_allocation
from dlth_tf.core.exact_counts import Sparsity
from dlth_tf.core.ticket import Plain
from dlth_tf.errors import BadInput
from dlth_tf.masking.dense_layers import prunable_of_ticket
from dlth_tf.masking.keras2.weights import PrunableWeight, prunable_weights

REMOVE = {"smallest": 1, "largest": -1}


def random_ticket(
    model: tf_keras.Model,
    sparsity: Sparsity,
    seed: int = 0,
    *,
    allocation: str | Mapping[str, Sparsity] = "uniform",
    granularity: str = "weight",
    dense_layers: str | Sequence[str] = "auto",
    cycle: tuple[int, int] = (1, 1),
    within: Mapping[str, np.ndarray] | None = None,
) -> Ticket:
    """A uniformly random ticket of a wrapped model: a pure function of seed, tensor names and shapes.

    Args:
      model: wrapped and built; its weights are not looked at.
      sparsity: fraction removed of the pruned tensors, at least 0 and below 1.
      seed: any integer.
      allocation: how the sparsity is spread over tensors: "uniform", "erk", "global", or a map of layer patterns to
        sparsities, which then alone decides.
      granularity: what is removed as one piece: "weight", "filter", "channel", "block:4x1" and the like, "2:4" and the like.
      dense_layers: layer names, patterns, "first", "last" or "none", as a list or separated by commas; "auto" is
        "first,last" for networks with convolutions, as in the paper's, and "last" for others; with filters or channels
        also the layers that residual connections tie to others, so that all but the inner ones of a block stay whole.
      cycle: (c, n): the ticket of the cumulative sparsity after cycle c of n, inside those of the cycles before.
      within: masks of an earlier ticket: what it removed stays removed.

    Raises:
      BadInput: a value out of range, an unknown name, or nothing left to prune.
    """
    entries = prunable_of_ticket(model, dense_layers, granularity)
    shapes = {name: entry.shape for name, entry in entries.items()}
    draw = functools.partial(scores.random, seed=seed)
    masks = choose_random(
        shapes, draw, sparsity, allocation, granularity, cycle=cycle, within=within, layouts=_layouts(entries)
    )
    return _ticket(masks, sparsity, allocation, granularity, pick="random", seed=seed)


def magnitude_ticket(
    model: tf_keras.Model,
    sparsity: Sparsity,
    *,
    remove: str = "smallest",
    allocation: str | Mapping[str, Sparsity] = "uniform",
    granularity: str = "weight",
    dense_layers: str | Sequence[str] = "auto",
    cycle: tuple[int, int] = (1, 1),
    within: Mapping[str, np.ndarray] | None = None,
) -> Ticket:
    """The ticket that the weights' present magnitudes choose; see `random_ticket` for the other arguments.

    Args:
      model: wrapped and built.
      sparsity: fraction removed of the pruned tensors, at least 0 and below 1.
      remove: "smallest" magnitudes, as in lottery tickets, or "largest".
      allocation: how the sparsity is spread over tensors.
      granularity: what is removed as one piece; of a group the mean magnitude counts.
      dense_layers: what is kept whole.
      cycle: (c, n): the ticket of the cumulative sparsity after cycle c of n.
      within: masks of an earlier ticket: what it removed stays removed.
    """
    if remove not in REMOVE:
        raise BadInput("remove", remove, f"must be one of {', '.join(REMOVE)}")

    def score(entries: Mapping[str, PrunableWeight]) -> dict[str, np.ndarray]:
        found = scores.magnitude({name: entry.weight.numpy() for name, entry in entries.items()})
        return {name: REMOVE[remove] * value for name, value in found.items()}

    options: dict[str, Any] = {"allocation": allocation, "granularity": granularity, "dense_layers": dense_layers}
    return score_ticket(
        model,
        sparsity,
        score,
        f"magnitude_{'min' if remove == 'smallest' else 'max'}",
        cycle=cycle,
        within=within,
        **options,
    )


def score_ticket(
    model: tf_keras.Model,
    sparsity: Sparsity,
    score: Callable[[Mapping[str, PrunableWeight]], Mapping[str, np.ndarray]],
    pick: str,
    *,
    allocation: str | Mapping[str, Sparsity] = "uniform",
    granularity: str = "weight",
    dense_layers: str | Sequence[str] = "auto",
    cycle: tuple[int, int] = (1, 1),
    within: Mapping[str, np.ndarray] | None = None,
) -> Ticket:
    """The ticket that any scores choose; see `random_ticket` for the other arguments.

    Args:
      model: wrapped and built.
      sparsity: fraction removed of the pruned tensors, at least 0 and below 1.
      score: from the weights that may be pruned to a score for each of them, by name; the highest are kept.
      pick: what the ticket's provenance calls the scores.
      allocation: how the sparsity is spread over tensors.
      granularity: what is removed as one piece; of a group the mean score counts.
      dense_layers: what is kept whole.
      cycle: (c, n): the ticket of the cumulative sparsity after cycle c of n.
      within: masks of an earlier ticket: what it removed stays removed.
    """
    entries = prunable_of_ticket(model, dense_layers, granularity)
    masks = choose_masks(
        score(entries), sparsity, allocation, granularity, cycle=cycle, within=within, layouts=_layouts(entries)
    )
    return _ticket(masks, sparsity, allocation, granularity, pick=pick)


def _ticket(
    masks: Mapping[str, np.ndarray],
    sparsity: Sparsity,
    allocation: str | Mapping[str, Sparsity],
    granularity: str,
    **provenance: Plain,
) -> Ticket:
    return Ticket.from_masks(
        masks,
        sparsity=float(sparsity),
        allocation=str(parse_allocation(allocation)) if isinstance(allocation, Mapping) else allocation,
        granularity=granularity,
        **provenance,
    )


def _layouts(entries: Mapping[str, PrunableWeight]) -> dict[str, str]:
    return {name: entry.layout for name, entry in entries.items()}


def apply_ticket(model: tf_keras.Model, ticket: Ticket, *, remove: bool = False) -> None:
    """Writes a ticket into a wrapped model.

    Args:
      model: wrapped and built.
      ticket: its tensors must be the model's; tensors that it does not name are kept whole.
      remove: False: chosen, nothing removed (what RST starts from; weights that an earlier ticket removed stay zero
        but may grow again). True: chosen and removed (what scratch, lth and finetuning start from).

    Raises:
      BadInput: the ticket names a tensor that the model does not have, or one of another shape; nothing is changed.
    """
    choose(model, ticket)
    for entry in prunable_weights(model).values():
        entry.mask.assign(np.ones(entry.shape))
    if remove:
        _remove(model)


def choose(model: tf_keras.Model, ticket: Ticket) -> None:
    """Writes only the choice: the masks, and so what is removed already, stay as they are (cycles of RST-Iter)."""
    entries = prunable_weights(model)
    for name, mask in ticket.items():
        if name not in entries:
            raise BadInput("ticket", name, f"the model has no such prunable weight; it has {', '.join(entries)}")
        if mask.shape != entries[name].shape:
            raise BadInput(
                "ticket", name, f"its mask has shape {list(mask.shape)}, the model's weight {list(entries[name].shape)}"
            )
    for name, entry in entries.items():
        entry.ticket.assign(ticket[name] if name in ticket else np.ones(entry.shape))


def choose_what_is_kept(model: tf_keras.Model) -> None:
    """The ticket becomes what the masks keep now (after they changed inside the graph)."""
    for entry in prunable_weights(model).values():
        entry.ticket.assign(entry.mask)


def remove(model: tf_keras.Model) -> None:
    """Removes what the chosen ticket does not keep: mask <- ticket, and those weights become exactly (positive) zero."""
    _remove(model)


def _remove(model: tf_keras.Model) -> None:
    for entry in prunable_weights(model).values():
        chosen = entry.chosen()
        entry.mask.assign(chosen)
        if not chosen.all():
            entry.weight.assign(np.where(chosen, entry.weight.numpy(), 0))


def chosen_ticket(model: tf_keras.Model, **provenance: Plain) -> Ticket:
    """The ticket that is written in the model: every tensor of which something is not kept."""
    chosen = {name: entry.chosen() for name, entry in prunable_weights(model).items()}
    return Ticket.from_masks({name: mask for name, mask in chosen.items() if not mask.all()}, **provenance)
