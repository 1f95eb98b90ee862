"""Masks: scores, a sparsity, an allocation and a granularity -> which weights stay. Each of the four is free of the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dlth_tf.core.allocation import Allocation, PatternMap
from dlth_tf.core.exact_counts import Sparsity
from dlth_tf.core.granularity import Granularity
from dlth_tf.core.groups import Groups, Shape
from dlth_tf.core.iterative_sparsity import cumulative_sparsity
from dlth_tf.core.layout import LAYOUTS, layout_of
from dlth_tf.core.pruning_spec import check_choice
from dlth_tf.errors import BadInput

Masks = dict[str, np.ndarray]


def choose_masks(
    scores: Mapping[str, np.ndarray],
    sparsity: Sparsity,
    allocation: str | Mapping[str, Sparsity] | Allocation = "uniform",
    granularity: str | Granularity = "weight",
    *,
    cycle: tuple[int, int] = (1, 1),
    within: Mapping[str, np.ndarray] | None = None,
    layouts: Mapping[str, str] | None = None,
) -> Masks:
    """Keeps the highest scores, in exact numbers.

    Args:
      scores: name -> a score for every weight; for a group their mean counts.
      sparsity: fraction removed at the end, in [0, 1).
      allocation: "uniform", "erk", "global", or a map of patterns (JSON text or a mapping), which alone decides.
      granularity: "weight", "filter", "channel", "block:4x1" and the like, "2:4" and the like.
      cycle: (c, n): what is reached is the cumulative sparsity after cycle c of n (of SynFlow's rounds too).
      within: name -> mask of an earlier cycle: what it removed stays removed. Tensors that it does not name are whole.
      layouts: name -> one of LAYOUTS, where the name does not tell it (transposed convolutions).

    Returns:
      name -> boolean mask of the tensor's shape, True = kept, in the order of `scores`.

    Raises:
      BadInput: an unknown name, a tensor that the granularity does not fit, scores that are no numbers, or counts that
        cannot be met.

    >>> masks = choose_masks({"fc/kernel": np.arange(12.0).reshape(4, 3)}, .5, granularity="filter")
    >>> masks["fc/kernel"][0].tolist()  # ceil(.5 * 3) of 3 outputs are removed
    [False, False, True]
    """
    shapes = {name: np.shape(score) for name, score in scores.items()}
    plan = _plan(shapes, sparsity, allocation, granularity, cycle, layouts)
    return _masks(plan, _Lazy(shapes, lambda name: plan.granularity.pool(scores[name], plan.layouts[name])), within)


def choose_random(
    shapes: Mapping[str, Shape],
    draw: Callable[[Mapping[str, Shape]], Mapping[str, np.ndarray]],
    sparsity: Sparsity,
    allocation: str | Mapping[str, Sparsity] | Allocation = "uniform",
    granularity: str | Granularity = "weight",
    *,
    cycle: tuple[int, int] = (1, 1),
    within: Mapping[str, np.ndarray] | None = None,
    layouts: Mapping[str, str] | None = None,
) -> Masks:
    """Keeps groups at random: one draw for each group, so every choice of that many groups is equally likely.

    The draws do not depend on the cycle, so tickets of successive cycles nest by themselves; `within` makes sure of it.

    Args:
      shapes: name -> shape of every tensor that is pruned.
      draw: {name: shape} -> {name: scores}, a pure function of each name and shape: `scores.random` with its seed.
      sparsity: as in `choose_masks`, and so are all others.
      allocation: see there; "global" draws over all tensors together.
      granularity: see there.
      cycle: see there.
      within: see there.
      layouts: see there.
    """
    plan = _plan(shapes, sparsity, allocation, granularity, cycle, layouts)
    return _masks(plan, _Lazy(shapes, lambda name: draw({name: plan.groups[name].scored})[name]), within)


def kept_groups(
    shapes: Mapping[str, Shape],
    sparsity: Sparsity,
    allocation: str | Mapping[str, Sparsity] | Allocation = "uniform",
    granularity: str | Granularity = "weight",
    *,
    share: Sparsity | Fraction = 1,
    layouts: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """How many groups of each tensor stay, where that is known without scores (not for "global").

    Args:
      shapes: name -> shape of every tensor that is pruned.
      sparsity: as in `choose_masks`.
      allocation: see there; not "global".
      granularity: see there.
      share: the part of the sparsity that is reached, 0 to 1: of gradual pruning, on its way.
      layouts: see there.

    >>> kept_groups({"fc/kernel": (10, 10)}, .9), kept_groups({"fc/kernel": (10, 10)}, .9, share=.5)
    ({'fc/kernel': 10}, {'fc/kernel': 55})
    """
    plan = _plan(shapes, sparsity, allocation, granularity, (1, 1), layouts)
    part = Fraction(share)
    rule = plan.allocation.scaled(part) if isinstance(plan.allocation, PatternMap) else plan.allocation
    return rule(plan.groups, plan.sparsity * part, None)


@dataclass(frozen=True)
class _Plan:
    """How many groups are to stay, and what they are, whatever their scores."""

    groups: dict[str, Groups]
    layouts: dict[str, str]
    sparsity: Fraction
    allocation: Allocation
    granularity: Granularity


def _plan(
    shapes: Mapping[str, Shape],
    sparsity: Sparsity,
    allocation: str | Mapping[str, Sparsity] | Allocation,
    granularity: str | Granularity,
    cycle: tuple[int, int],
    layouts: Mapping[str, str] | None,
) -> _Plan:
    final, rule, grain = check_choice(sparsity, allocation, granularity)
    told = {name: (layouts or {}).get(name) or layout_of(name, shape) for name, shape in shapes.items()}
    for name, layout in told.items():
        if layout not in LAYOUTS:
            raise BadInput("layouts", f"{name}: {layout}", f"must be one of {', '.join(LAYOUTS)}")
    groups = {name: grain.divide(shape, name, told[name]) for name, shape in shapes.items()}
    return _Plan(
        groups,
        told,
        cumulative_sparsity(final, *cycle),
        rule.after(*cycle) if isinstance(rule, PatternMap) else rule,
        grain,
    )


def _masks(plan: _Plan, scores: Mapping[str, np.ndarray], within: Mapping[str, np.ndarray] | None) -> Masks:
    groups, free = dict(plan.groups), {}
    for name, mask in (within or {}).items():
        if name not in groups:
            continue
        if np.shape(mask) != groups[name].shape:
            raise BadInput(
                "within", name, f"its mask has shape {list(np.shape(mask))}, the tensor {list(groups[name].shape)}"
            )
        free[name], count = plan.granularity.free(np.asarray(mask, bool), name, plan.layouts[name])
        groups[name] = dataclasses.replace(groups[name], free=count)
    candidates = _Lazy(groups, lambda name: scores[name][free[name]] if name in free else scores[name])
    kept = plan.allocation(groups, plan.sparsity, candidates)
    masks = {}
    for name, entry in groups.items():
        if kept[name] > entry.free:
            raise BadInput(
                "within",
                name,
                f"leaves {entry.free} groups, but {kept[name]} should stay, and what was removed stays removed",
            )
        chosen = plan.granularity.keep(_checked(name, scores[name]), kept[name], free.get(name))
        masks[name] = plan.granularity.expand(chosen, entry.shape, plan.layouts[name])
    return masks


def _checked(name: str, scores: np.ndarray) -> np.ndarray:
    if np.isnan(scores).any():
        raise BadInput("scores", name, "holds NaN, which is neither high nor low")
    return scores


@dataclass(frozen=True)
class _Lazy(Mapping[str, np.ndarray]):
    """Arrays that are made when they are asked for: those of a large network are not all held at once."""

    names: Mapping[str, object]
    make: Callable[[str], np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
