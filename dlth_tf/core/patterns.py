"""A sparsity of its own for each tensor, by the pattern that its name matches."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from dlth_tf.core.exact_counts import Sparsity, parse_sparsity, removed_count
from dlth_tf.core.groups import Tensors, as_groups
from dlth_tf.core.iterative_sparsity import cumulative_sparsity
from dlth_tf.errors import BadInput

EXAMPLE = '{"stage1*": 0.5, "*": 0.98}'


@dataclass(frozen=True)
class PatternMap:
    """Shell patterns -> sparsities; the map alone decides, whatever the sparsity of the network is said to be.

    A pattern is matched against the full name ("conv1/kernel") and against the layer's ("conv1"). Where several match, the
    most specific decides: the one with the most letters that are no wildcards, and of equally specific ones the last. So
    the order, which JSON does not promise to keep, does not matter; the official code's stage_pr goes by order (last match).
    A tensor that nothing matches is kept whole.
    """

    sparsities: tuple[tuple[str, Fraction], ...]

    @classmethod
    def parse(cls, given: str | Mapping[str, Sparsity]) -> PatternMap:
        """From the flag's JSON text, or from a mapping.

        Raises:
          BadInput: not a JSON object, a pattern that stands there twice, or a value that is no sparsity.

        >>> PatternMap.parse('{"stage1*": 0.5, "*": 0.98}').sparsity_of("stage1_conv2/kernel")
        Fraction(1, 2)
        """
        try:
            pairs = list(given.items()) if isinstance(given, Mapping) else _json_pairs(given)
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise BadInput(
                "allocation", given, f"is no JSON object of patterns and sparsities such as {EXAMPLE}"
            ) from None
        names = [pattern for pattern, _ in pairs]
        if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
            raise BadInput("allocation", given, f"needs at least one pattern, and each only once, such as {EXAMPLE}")
        return cls(tuple((pattern, _sparsity(pattern, value)) for pattern, value in pairs))

    def __str__(self) -> str:
        """JSON that parses to the same map."""
        return json.dumps({pattern: float(sparsity) for pattern, sparsity in self.sparsities})

    def __call__(
        self, tensors: Tensors, sparsity: Sparsity = 0, scores: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, int]:
        """The number of groups that each tensor keeps; sparsity and scores are not looked at.

        Raises:
          BadInput: a pattern that would remove something matches no tensor.
        """
        for pattern, value in self.sparsities:
            if value and not any(_matches(name, pattern) for name in tensors):
                raise BadInput("allocation", pattern, f"matches no pruned tensor; there are {', '.join(tensors)}")
        return {
            name: entry.count - removed_count(entry.count, self.sparsity_of(name))
            for name, entry in as_groups(tensors).items()
        }

    def sparsity_of(self, name: str) -> Fraction:
        """What the map says of the tensor of this name; 0 where nothing matches."""
        matching = [
            (_specificity(pattern), place)
            for place, (pattern, _) in enumerate(self.sparsities)
            if _matches(name, pattern)
        ]
        return self.sparsities[max(matching)[1]][1] if matching else Fraction(0)

    def after(self, cycle: int, cycles: int) -> PatternMap:
        """The same map with the cumulative sparsities after cycle c of n."""
        return dataclasses.replace(
            self, sparsities=tuple((name, cumulative_sparsity(value, cycle, cycles)) for name, value in self.sparsities)
        )

    def scaled(self, share: Fraction) -> PatternMap:
        """The same map with every sparsity times `share`."""
        return dataclasses.replace(self, sparsities=tuple((name, value * share) for name, value in self.sparsities))


def _json_pairs(text: str) -> list[tuple[str, Any]]:
    """Pairs as they stand there, twins and all, and numbers as they were typed."""
    pairs = json.loads(text, object_pairs_hook=lambda found: found, parse_float=str, parse_int=str)
    if not text.lstrip().startswith("{"):
        raise ValueError
    return pairs


def _sparsity(pattern: str, value: Any) -> Fraction:
    try:
        return parse_sparsity(value)
    except BadInput as refused:
        raise BadInput("allocation", f"{pattern}: {value}", refused.allowed) from None


def _matches(name: str, pattern: str) -> bool:
    """A name is matched whole, or up to one of its slashes: "mha/query/kernel", "mha/query", "mha"."""
    return any(fnmatch.fnmatchcase(part, pattern) for part in itertools.accumulate(name.split("/"), "{}/{}".format))


def _specificity(pattern: str) -> int:
    return len(re.sub(r"\[[^]]*\]|[*?]", "", pattern))
