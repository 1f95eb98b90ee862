"""Tickets on a model: draws one, chooses it, removes the weights that it does not keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, Unpack

import numpy as np

from dlth_tf import core, scores
from dlth_tf.core import PruningSpec, Round, RoundOptions, Ticket
from dlth_tf.core.exact_counts import Sparsity
from dlth_tf.core.masks import FIRST
from dlth_tf.core.ticket import Plain
from dlth_tf.errors import BadInput
from dlth_tf.masking.dense_layers import prunable_of_ticket
from dlth_tf.masking.prunable import PrunableWeight, tensors_of
from dlth_tf.masking.structure.automatic_names import of_rebuilt
from dlth_tf.masking.world import prunable_weights
from dlth_tf.plain_numbers import whole_number

REMOVE = {"smallest": 1, "largest": -1}
PICKS = ("random", "magnitude_min", "magnitude_max")
Entries: TypeAlias = Mapping[str, PrunableWeight]
Scores: TypeAlias = Mapping[str, np.ndarray]


def random_ticket(
    model: Any,
    sparsity: Sparsity,
    seed: int = 0,
    *,
    allocation: str | Mapping[str, Sparsity] = "uniform",
    granularity: str = "weight",
    dense_layers: str | Sequence[str] = "auto",
    **round: Unpack[RoundOptions],
) -> Ticket:
    """Draws a uniformly random ticket of a wrapped model: a pure function of seed, tensor names and shapes.

    Args:
      model: Wrapped and built; the values of its weights are not used.
      sparsity: Fraction removed of the pruned tensors, at least 0 and below 1.
      seed: Any integer.
      allocation: Distribution of the sparsity over tensors: "uniform", "erk", "global", or a map of layer patterns to
        sparsities, which then alone decides.
      granularity: Groups that are removed as one piece: "weight", "filter", "channel", a block such as "block:4x1", or
        n:m such as "2:4".
      dense_layers: Layers that are kept whole: names, patterns, "first", "last" or "none", as a list or separated by
        commas. "auto" is "first,last" for networks with convolutions, as in the paper, and "last" for others; with
        filters or channels also the layers that residual connections tie to others, so that all but the inner ones of a
        block stay whole.
      **round: `cycle=(c, n)`: the ticket has the cumulative sparsity of round c of n, and is inside those of the rounds
        before. `within`: Masks of an earlier ticket, by tensor name; weights that it removed stay removed.

    Raises:
      BadInput: If a value is out of range, a name is unknown, or nothing is left to prune.
    """
    spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers)
    return pick_ticket(model, spec, "random", seed, Round.parse(**round))


def magnitude_ticket(
    model: Any,
    sparsity: Sparsity,
    *,
    remove: str = "smallest",
    allocation: str | Mapping[str, Sparsity] = "uniform",
    granularity: str = "weight",
    dense_layers: str | Sequence[str] = "auto",
    **round: Unpack[RoundOptions],
) -> Ticket:
    """Draws the ticket of the weights' present magnitudes.

    Args:
      model: Wrapped and built.
      sparsity: Fraction removed of the pruned tensors, at least 0 and below 1.
      remove: "smallest" magnitudes, as in lottery tickets, or "largest".
      allocation: Distribution of the sparsity over tensors, as in `random_ticket`.
      granularity: Groups that are removed as one piece; the score of a group is its mean magnitude.
      dense_layers: Layers that are kept whole, as in `random_ticket`.
      **round: `cycle=(c, n)`: the ticket has the cumulative sparsity of round c of n. `within`: Masks of an earlier
        ticket, by tensor name; weights that it removed stay removed.

    Raises:
      BadInput: If a value is out of range, a name is unknown, or nothing is left to prune.
    """
    if remove not in REMOVE:
        raise BadInput("remove", remove, f"must be one of {', '.join(REMOVE)}")
    spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers)
    return pick_ticket(model, spec, f"magnitude_{'min' if remove == 'smallest' else 'max'}", 0, Round.parse(**round))


def pick_ticket(model: Any, spec: PruningSpec, pick: str, seed: int = 0, round: Round = FIRST) -> Ticket:
    """Draws a ticket at random or by magnitude.

    Args:
      model: Wrapped and built.
      spec: The pruning choice.
      pick: "random"; or "magnitude_min", "magnitude_max", which remove the weights of smallest or largest present
        magnitude, as the official code's `pick_pruned` does.
      seed: Seed of a random ticket.
      round: Round of an iterative method.

    Raises:
      BadInput: If the choice does not fit the model.
    """
    if pick == "random":
        seed = whole_number("seed", seed)
        entries = prunable_of_ticket(model, spec)

        def draw(shapes: Mapping[str, tuple[int, ...]]) -> Scores:
            stable = {entries[name].stable_name or name: shape for name, shape in shapes.items()}
            return dict(zip(shapes, scores.random(stable, seed).values(), strict=True))

        masks = core.choose_random(tensors_of(entries), draw, spec, round)
        return Ticket.from_masks(masks, **spec.texts, pick=pick, seed=seed)
    sign = REMOVE["smallest" if pick == "magnitude_min" else "largest"]
    return draw_ticket(model, spec, lambda entries: _magnitudes(entries, sign), pick, round)


def draw_ticket(
    model: Any, spec: PruningSpec, score: Callable[[Entries], Scores], pick: str, round: Round = FIRST
) -> Ticket:
    """Draws the ticket of any scores.

    Args:
      model: Wrapped and built.
      spec: The pruning choice; the score of a group is the mean over its weights.
      score: Function from the weights that may be pruned to their scores, by tensor name; the highest are kept.
      pick: Name of the scores in the ticket's provenance.
      round: Round of an iterative method.

    Raises:
      BadInput: If the choice does not fit the model, or a score is NaN.
    """
    entries = prunable_of_ticket(model, spec)
    masks = core.choose_masks(score(entries), spec, round, tensors_of(entries))
    return Ticket.from_masks(masks, **spec.texts, pick=pick)


def _magnitudes(entries: Entries, sign: int) -> Scores:
    magnitudes = scores.magnitude({name: entry.weight.numpy() for name, entry in entries.items()})
    return {name: sign * value for name, value in magnitudes.items()}


def check_fits(model: Any, spec: PruningSpec, round: Round = FIRST) -> None:
    """Checks that a pruning choice fits a wrapped model, without drawing a ticket.

    Raises:
      BadInput: If it does not.
    """
    core.check_fits(tensors_of(prunable_of_ticket(model, spec)), spec, round)


def within_what_is_kept(model: Any) -> Round:
    """Returns a round in which only weights can be kept that are not removed yet: the rule of every callback.

    Args:
      model: Wrapped and built.
    """
    kept = {name: entry.kept() for name, entry in prunable_weights(model).items()}
    return Round(within={name: mask for name, mask in kept.items() if not mask.all()})


def apply_ticket(model: Any, ticket: Mapping[str, np.ndarray], *, remove: bool = False) -> None:
    """Writes a ticket into a wrapped model.

    Args:
      model: Wrapped and built.
      ticket: A `Ticket`, or masks by tensor name. Its tensors must be the model's; tensors that it does not name are
        kept whole, except those of frozen layers (trainable=False), of which removed weights stay removed: nothing
        trains what would be kept again.
      remove: False: the ticket is chosen and nothing removed (the start of RST; weights that an earlier ticket removed
        stay zero but may grow again). True: chosen and removed (the start of scratch, lth and finetuning).

    Raises:
      BadInput: If the ticket is no valid one, names a tensor that the model does not have, or one of another shape;
        nothing is changed.
    """
    choose(model, ticket)
    for entry in prunable_weights(model).values():
        if not (entry.frozen and np.array_equal(entry.kept(), entry.chosen())):
            entry.mask.assign(np.ones(entry.shape))
    if remove:
        remove_weights(model)


def choose(model: Any, ticket: Mapping[str, np.ndarray]) -> None:
    """Writes only the choice: masks, and so the weights removed already, do not change (rounds of RST-Iter)."""
    entries = prunable_weights(model)
    ticket = of_rebuilt(ticket if isinstance(ticket, Ticket) else Ticket.from_masks(ticket), entries)
    for name, mask in ticket.items():
        if name not in entries:
            raise BadInput("ticket", name, f"the model has no such prunable weight; it has {', '.join(entries)}")
        if mask.shape != entries[name].shape:
            shapes = f"its mask has shape {list(mask.shape)}, the model's weight {list(entries[name].shape)}"
            raise BadInput("ticket", name, shapes)
    for name, entry in entries.items():
        stays = entry.kept() if entry.frozen else np.ones(entry.shape)
        entry.ticket.assign(ticket.get(name, stays))


def choose_what_is_kept(model: Any) -> None:
    """Sets the ticket to what the masks keep now (after masks changed during training)."""
    for entry in prunable_weights(model).values():
        entry.ticket.assign(entry.mask)


def remove_weights(model: Any) -> None:
    """Removes the weights outside the chosen ticket: mask <- ticket, and those weights become positive zero."""
    for entry in prunable_weights(model).values():
        chosen = entry.chosen()
        entry.mask.assign(chosen)
        if not chosen.all():
            entry.weight.assign(np.where(chosen, entry.weight.numpy(), 0))


def chosen_ticket(model: Any, **provenance: Plain) -> Ticket:
    """Returns the ticket that is written in the model: every tensor of which the ticket removes something."""
    chosen = {name: entry.chosen() for name, entry in prunable_weights(model).items()}
    return Ticket.from_masks({name: mask for name, mask in chosen.items() if not mask.all()}, **provenance)
