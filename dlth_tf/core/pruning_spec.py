"""PruningSpec: one pruning choice, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypedDict

import numpy as np

from dlth_tf.core.allocation import Allocation, PatternMap, parse_allocation, uniform
from dlth_tf.core.exact_counts import Sparsity, parse_sparsity
from dlth_tf.core.global_threshold import global_threshold
from dlth_tf.core.granularity import Granularity, parse_granularity
from dlth_tf.core.n_m import NByM
from dlth_tf.core.patterns import texts
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import store, whole_number

CLOSE = Fraction(1, 10_000)  # .6667 is meant where 1:3 removes two thirds
DenseLayers = str | Sequence[str]


@dataclass(frozen=True)
class PruningSpec:
    """A sparsity, its allocation to tensors, the granularity, and the layers that stay dense.

    The four choices are independent of each other, except for n:m, which has a sparsity of its own. Build one with
    `parse`.

    Attributes:
      sparsity: Fraction removed of the pruned tensors, at least 0 and below 1, exact.
      allocation: Function from tensors, sparsity and scores to the number of groups that each tensor keeps.
      granularity: Divides a tensor into the groups that are kept or removed as one piece.
      dense_layers: Layers that are kept whole, as in `dlth_tf.random_ticket`.
      texts: The choice as it was typed, for the provenance of tickets: "sparsity", "allocation" and "granularity".
    """

    sparsity: Fraction
    allocation: Allocation
    granularity: Granularity
    dense_layers: DenseLayers = "auto"
    texts: Mapping[str, str | float] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        store(self, sparsity=parse_sparsity(self.sparsity))

    @classmethod
    def parse(
        cls,
        sparsity: Sparsity,
        allocation: str | Mapping[str, Sparsity] | Allocation = "uniform",
        granularity: str | Granularity = "weight",
        dense_layers: DenseLayers = "auto",
    ) -> PruningSpec:
        """Reads a choice from flags or arguments.

        Args:
          sparsity: Fraction removed, at least 0 and below 1.
          allocation: "uniform", "erk", "global", or a map of patterns to sparsities (JSON text or a mapping), which
            then alone decides.
          granularity: "weight", "filter", "channel", a block such as "block:4x1", or n:m such as "2:4".
          dense_layers: Layer names, patterns, "first", "last", "none" or "auto". Checked against a model when a ticket
            is drawn.

        Raises:
          BadInput: If a value is invalid, or n:m is combined with a sparsity or an allocation other than its own.

        >>> PruningSpec.parse(.5, "uniform", "2:4").sparsity
        Fraction(1, 2)
        """
        exact = parse_sparsity(sparsity)
        rule = parse_allocation(allocation)
        groups = parse_granularity(granularity)
        as_text: dict[str, str | float] = {
            "sparsity": float(exact),
            "allocation": str(rule)
            if isinstance(rule, PatternMap) and not isinstance(allocation, str)
            else str(allocation),
            "granularity": str(granularity) if isinstance(granularity, str) else groups.text,
        }
        if isinstance(groups, NByM):
            exact, rule = _checked_n_m(groups, exact, rule, as_text)
        return cls(exact, rule, groups, _layers(dense_layers), as_text)

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the callbacks, and of `dlth_tf.random_ticket`, that mean this choice."""
        return {**self.texts, "dense_layers": self.dense_layers}

    def check_fixed_counts(self, user: str) -> PruningSpec:
        """Returns this choice if the number of weights that each tensor keeps is known before training.

        Args:
          user: Name of the method or callback that needs it, for the message.

        Raises:
          BadInput: If the allocation is global, or the granularity n:m.
        """
        if self.allocation is global_threshold:
            allowed = f"cannot be combined with {user}, which needs the number of weights of each tensor beforehand"
            raise BadInput("allocation", "global", f"{allowed}: use uniform, erk or a map")
        exchangeable(self.granularity, user)
        return self


def _layers(dense_layers: Any) -> DenseLayers:
    """Returns a value of `dense_layers` as text or as a tuple of texts; raises BadInput if it is neither."""
    if isinstance(dense_layers, str):
        return dense_layers
    words = texts(dense_layers)
    if words is None:
        allowed = 'must be layer names or patterns, "first", "last", "none" or "auto": one text, or several'
        raise BadInput("dense_layers", dense_layers, allowed)
    return words


def exchangeable(granularity: str | Granularity, user: str) -> Granularity:
    """Returns a granularity whose groups can be kept or removed independently of each other: any but n:m.

    Args:
      granularity: As in `PruningSpec.parse`.
      user: Name of the method or callback that changes masks during training, for the message.

    Raises:
      BadInput: If the granularity is invalid, or n:m.
    """
    groups = parse_granularity(granularity)
    if isinstance(groups, NByM):
        allowed = f"cannot be combined with {user}, whose masks change during training"
        raise BadInput("granularity", groups.text, f"{allowed}: use weight, filter, channel or a block")
    return groups


class RoundOptions(TypedDict, total=False):
    """Keywords that public functions take for a `Round`."""

    cycle: tuple[int, int]
    within: Mapping[str, np.ndarray] | None


@dataclass(frozen=True, eq=False)  # generated equality cannot compare arrays
class Round:
    """One round of an iterative method.

    Attributes:
      number: Round c, from 1.
      of: Number of rounds n. The sparsity reached in round c is 1 - (1 - p)^(c/n) (`core.cumulative_sparsity`).
      within: Tensor name -> boolean mask of an earlier round. Weights that it removed stay removed; tensors that it
        does not name are whole.

    Raises:
      BadInput: If `number` is not from 0 (before the first round) to `of`, or `of` is below 1.
    """

    number: int = 1
    of: int = 1
    within: Mapping[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        of = whole_number("of", self.of, least=1)
        store(self, number=whole_number("number", self.number, least=0, most=of), of=of)

    @classmethod
    def parse(cls, cycle: tuple[int, int] = (1, 1), within: Mapping[str, np.ndarray] | None = None) -> Round:
        """Builds a round from (c, n) and the masks of an earlier round.

        Raises:
          BadInput: If `cycle` is no such pair.
        """
        try:
            number, of = cycle
            return cls(number, of, within)
        except (TypeError, ValueError):  # BadInput is a ValueError
            raise BadInput(
                "cycle", cycle, "must be (c, n), two whole numbers with n at least 1 and c from 0 to n"
            ) from None


def _checked_n_m(
    groups: NByM, sparsity: Fraction, rule: Allocation, texts: Mapping[str, str | float]
) -> tuple[Fraction, Allocation]:
    """The sparsity and the allocation of n:m; raises BadInput for any other than its own."""
    if isinstance(rule, PatternMap):
        return sparsity, PatternMap(tuple((name, _own(groups, name, value)) for name, value in rule.sparsities))
    if rule is not uniform:
        allowed = f"cannot be combined with granularity {groups.text}, which removes the same everywhere: use uniform"
        raise BadInput("allocation", texts["allocation"], allowed)
    if abs(sparsity - groups.sparsity) > CLOSE:
        own = f"{float(groups.sparsity):.4g}"
        allowed = (
            f"cannot be combined with granularity {groups.text}, which always removes {own} of every tensor: use {own}"
        )
        raise BadInput("sparsity", texts["sparsity"], allowed)
    return groups.sparsity, rule


def _own(groups: NByM, pattern: str, sparsity: Fraction) -> Fraction:
    """The sparsity of one entry of a pattern map under n:m: that of n:m, or 0."""
    if sparsity and abs(sparsity - groups.sparsity) > CLOSE:
        allowed = f"cannot be combined with granularity {groups.text}: use 0 or {float(groups.sparsity):.4g}"
        raise BadInput("allocation", f"{pattern}: {float(sparsity)}", allowed)
    return groups.sparsity if sparsity else sparsity
