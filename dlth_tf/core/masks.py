"""Masks: from scores and a PruningSpec to the weights that are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from dlth_tf.core.allocation import Allocation, PatternMap
from dlth_tf.core.global_threshold import global_threshold
from dlth_tf.core.granularity import Granularity
from dlth_tf.core.groups import Groups, Shape, weight_budget
from dlth_tf.core.iterative_sparsity import cumulative_sparsity
from dlth_tf.core.layout import Tensor, as_tensors
from dlth_tf.core.pruning_spec import PruningSpec, Round
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import FRACTION, real_number

Masks = dict[str, np.ndarray]
Tensors = Mapping[str, Shape | Tensor]
FIRST = Round()


def choose_masks(
    scores: Mapping[str, np.ndarray], spec: PruningSpec, round: Round = FIRST, tensors: Tensors | None = None
) -> Masks:
    """Keeps the highest scores, in exact numbers.

    Args:
      scores: Tensor name -> a score for every weight; the score of a group is their mean.
      spec: The pruning choice.
      round: Round of an iterative method, which decides the sparsity that is reached (of SynFlow's rounds too).
      tensors: Tensor name -> shape and layout, for names that do not imply the layout (transposed convolutions); by
        default from the scores' shapes and names.

    Returns:
      Tensor name -> boolean mask of the tensor's shape, True = kept, in the order of `scores`.

    Raises:
      BadInput: If the granularity does not fit a tensor, a score is NaN, or the counts cannot be met.

    >>> masks = choose_masks({"fc/kernel": np.arange(12.0).reshape(4, 3)}, PruningSpec.parse(.5, granularity="filter"))
    >>> masks["fc/kernel"][0].tolist()  # ceil(.5 * 3) of 3 outputs are removed
    [False, False, True]
    """
    plan = _plan({name: np.shape(score) for name, score in scores.items()} if tensors is None else tensors, spec, round)
    return _masks(plan, _Lazy(plan.groups, lambda name: plan.pool(name, scores[name])), round.within)


def choose_random(
    tensors: Tensors,
    draw: Callable[[Mapping[str, Shape]], Mapping[str, np.ndarray]],
    spec: PruningSpec,
    round: Round = FIRST,
) -> Masks:
    """Keeps groups at random: one draw for each group, so every choice of that many groups is equally likely.

    The draws do not depend on the round, so tickets of successive rounds are nested; `round.within` enforces it.

    Args:
      tensors: Tensor name -> shape, or shape and layout, of every tensor that is pruned.
      draw: {name: shape} -> {name: scores}, a pure function of each name and shape: `scores.random` with its seed.
      spec: The pruning choice; the allocation "global" draws over all tensors together.
      round: Round of an iterative method.

    Returns:
      Tensor name -> boolean mask of the tensor's shape, True = kept, in the order of `tensors`.

    Raises:
      BadInput: If the granularity does not fit a tensor, or the counts cannot be met.
    """
    plan = _plan(tensors, spec, round)
    return _masks(plan, _Lazy(plan.groups, lambda name: draw({name: plan.groups[name].scored})[name]), round.within)


def kept_groups(tensors: Tensors, spec: PruningSpec, share: float | Fraction = 1) -> dict[str, int]:
    """Number of groups that each tensor keeps, where that is known without scores (not for the allocation "global").

    Args:
      tensors: Tensor name -> shape, or shape and layout, of every tensor that is pruned.
      spec: The pruning choice.
      share: Fraction of the sparsity that gradual pruning has reached, 0 to 1.

    >>> spec = PruningSpec.parse(.9)
    >>> kept_groups({"fc/kernel": (10, 10)}, spec), kept_groups({"fc/kernel": (10, 10)}, spec, share=.5)
    ({'fc/kernel': 10}, {'fc/kernel': 55})
    """
    plan = _plan(tensors, spec, FIRST)
    number = real_number("share", share, FRACTION)
    part = Fraction(share if isinstance(share, Fraction | Decimal) else number)
    rule = plan.allocation.scaled(part) if isinstance(plan.allocation, PatternMap) else plan.allocation
    return rule(plan.groups, plan.sparsity * part, None)


def check_fits(tensors: Tensors, spec: PruningSpec, round: Round = FIRST) -> None:
    """Checks that a pruning choice fits these tensors, without drawing masks.

    Args:
      tensors: Tensor name -> shape, or shape and layout, of every tensor that would be pruned.
      spec: The pruning choice.
      round: Round of an iterative method.

    Raises:
      BadInput: If the granularity does not fit a tensor, or the counts cannot be met.
    """
    plan = _plan(tensors, spec, round)
    groups, _ = _free(plan, round.within)
    if plan.allocation is global_threshold:  # it needs scores to divide its budget, which does not depend on them
        weight_budget(groups, plan.sparsity)
    else:
        _check_counts(plan, groups, plan.allocation(groups, plan.sparsity, None))


@dataclass(frozen=True)
class _Plan:
    """The groups of every tensor, and the counts to reach, whatever the scores."""

    tensors: dict[str, Tensor]
    groups: dict[str, Groups]
    sparsity: Fraction
    allocation: Allocation
    granularity: Granularity

    def pool(self, name: str, scores: np.ndarray) -> np.ndarray:
        """Scores of one tensor's groups."""
        return self.granularity.pool(scores, self.tensors[name].layout)


def _plan(tensors: Tensors, spec: PruningSpec, round: Round) -> _Plan:
    known = as_tensors(tensors)
    groups = {name: spec.granularity.divide(entry.shape, name, entry.layout) for name, entry in known.items()}
    rule = spec.allocation
    if isinstance(rule, PatternMap):
        rule = rule.after(round.number, round.of)
    return _Plan(known, groups, cumulative_sparsity(spec.sparsity, round.number, round.of), rule, spec.granularity)


def _free(plan: _Plan, within: Mapping[str, np.ndarray] | None) -> tuple[dict[str, Groups], dict[str, np.ndarray]]:
    """The groups that an earlier mask has left, as counts and as masks."""
    groups = dict(plan.groups)
    free = {}
    for name, mask in (within or {}).items():
        if name not in groups:
            continue
        if np.shape(mask) != groups[name].shape:
            shapes = f"its mask has shape {list(np.shape(mask))}, the tensor {list(groups[name].shape)}"
            raise BadInput("within", name, shapes)
        free[name], count = plan.granularity.free(np.asarray(mask, bool), name, plan.tensors[name].layout)
        groups[name] = dataclasses.replace(groups[name], free=count)
    return groups, free


def _masks(plan: _Plan, scores: Mapping[str, np.ndarray], within: Mapping[str, np.ndarray] | None) -> Masks:
    groups, free = _free(plan, within)
    candidates = _Lazy(groups, lambda name: scores[name][free[name]] if name in free else scores[name])
    kept = plan.allocation(groups, plan.sparsity, candidates)
    _check_counts(plan, groups, kept)
    masks = {}
    for name, entry in groups.items():
        chosen = plan.granularity.keep(_checked(name, scores[name]), kept[name], free.get(name))
        masks[name] = plan.granularity.expand(chosen, entry.shape, plan.tensors[name].layout)
    return masks


def _check_counts(plan: _Plan, groups: Mapping[str, Groups], kept: Mapping[str, int]) -> None:
    for name, entry in groups.items():
        if kept[name] > entry.free:
            thing, value = "sparsity", f"{float(plan.sparsity):.6g}"
            if isinstance(plan.allocation, PatternMap):
                thing, value = "allocation", str(plan.allocation)
            allowed = f"keeps {kept[name]} of the {entry.count} groups of {name}, but only {entry.free} of them"
            raise BadInput(thing, value, f"{allowed} have not been removed yet")


def _checked(name: str, scores: np.ndarray) -> np.ndarray:
    if np.isnan(scores).any():
        raise BadInput("scores", name, "contains NaN")
    return scores


@dataclass(frozen=True)
class _Lazy(Mapping[str, np.ndarray]):
    """Arrays that are computed on access, so that those of a large network are never all in memory."""

    names: Mapping[str, object]
    make: Callable[[str], np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
