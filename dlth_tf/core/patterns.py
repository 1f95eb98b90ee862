"""PatternMap: a separate sparsity for each tensor, by the pattern that its name matches."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from dlth_tf.core.exact_counts import Sparsity, parse_sparsity, removed_count
from dlth_tf.core.groups import Tensors, as_groups
from dlth_tf.core.iterative_sparsity import cumulative_sparsity
from dlth_tf.errors import BadInput

EXAMPLE = '{"stage1*": 0.5, "*": 0.98}'


def texts(values: Any) -> tuple[str, ...] | None:
    """Returns several texts as a tuple; None if a value is not text, or there are no several values.

    >>> texts(["conv1", "block*"]), texts([1])
    (('conv1', 'block*'), None)
    """
    several = tuple(values) if isinstance(values, Iterable) else (None,)
    return several if all(isinstance(each, str) for each in several) else None


@dataclass(frozen=True)
class PatternMap:
    """Shell patterns -> sparsities. The map alone decides; the sparsity of the network is ignored.

    A pattern is matched against the full name ("conv1/kernel") and against the layer's ("conv1"). Where several match,
    the most specific decides: the one with the most characters that are not wildcards, and of equally specific ones the
    last. So the order, which JSON does not guarantee, does not matter; the official code's stage_pr goes by order (last
    match). A tensor that no pattern matches is kept whole.
    """

    sparsities: tuple[tuple[str, Fraction], ...]

    @classmethod
    def parse(cls, text: str | Mapping[str, Sparsity]) -> PatternMap:
        """Reads the flag's JSON text, or a mapping.

        Raises:
          BadInput: If it is not a JSON object, has a pattern twice, or an invalid sparsity.

        >>> PatternMap.parse('{"stage1*": 0.5, "*": 0.98}').sparsity_of("stage1_conv2/kernel")
        Fraction(1, 2)
        """
        try:
            pairs = list(text.items()) if isinstance(text, Mapping) else _json_pairs(text)
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise BadInput(
                "allocation", text, f"is not a JSON object of patterns and sparsities such as {EXAMPLE}"
            ) from None
        names = [pattern for pattern, _ in pairs]
        if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
            raise BadInput("allocation", text, f"needs at least one pattern, and each only once, such as {EXAMPLE}")
        return cls(tuple((pattern, _sparsity(pattern, value)) for pattern, value in pairs))

    def __str__(self) -> str:
        """JSON text that parses to the same map."""
        return json.dumps({pattern: float(sparsity) for pattern, sparsity in self.sparsities})

    def __call__(
        self, tensors: Tensors, sparsity: Sparsity = 0, scores: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, int]:
        """Returns the number of groups that each tensor keeps; `sparsity` and `scores` are unused.

        Raises:
          BadInput: If a pattern with a sparsity above 0 matches no tensor.
        """
        for pattern, value in self.sparsities:
            if value and not any(_matches(name, pattern) for name in tensors):
                raise BadInput("allocation", pattern, f"matches no pruned tensor; the tensors are {', '.join(tensors)}")
        return {
            name: entry.count - removed_count(entry.count, self.sparsity_of(name))
            for name, entry in as_groups(tensors).items()
        }

    def sparsity_of(self, name: str) -> Fraction:
        """Returns the sparsity of the tensor of this name; 0 where no pattern matches."""
        matching = [
            (_specificity(pattern), place)
            for place, (pattern, _) in enumerate(self.sparsities)
            if _matches(name, pattern)
        ]
        return self.sparsities[max(matching)[1]][1] if matching else Fraction(0)

    def after(self, cycle: int, cycles: int) -> PatternMap:
        """Returns the same map with the cumulative sparsities after round c of n."""
        return dataclasses.replace(
            self, sparsities=tuple((name, cumulative_sparsity(value, cycle, cycles)) for name, value in self.sparsities)
        )

    def scaled(self, share: Fraction) -> PatternMap:
        """Returns the same map with every sparsity multiplied by `share`."""
        return dataclasses.replace(self, sparsities=tuple((name, value * share) for name, value in self.sparsities))


def _json_pairs(text: str) -> list[tuple[str, Any]]:
    """All pairs of the JSON text, duplicates too, with numbers as they were typed."""
    pairs = json.loads(text, object_pairs_hook=lambda items: items, parse_float=str, parse_int=str)
    if not text.lstrip().startswith("{"):
        raise ValueError
    return pairs


def _sparsity(pattern: str, value: Any) -> Fraction:
    try:
        return parse_sparsity(value)
    except BadInput as refused:
        raise BadInput("allocation", f"{pattern}: {value}", refused.allowed) from None


def _matches(name: str, pattern: str) -> bool:
    """Matches a name as a whole, or up to one of its slashes: "mha/query/kernel", "mha/query", "mha"."""
    return any(fnmatch.fnmatchcase(part, pattern) for part in itertools.accumulate(name.split("/"), "{}/{}".format))


def _specificity(pattern: str) -> int:
    return len(re.sub(r"\[[^]]*\]|[*?]", "", pattern))
