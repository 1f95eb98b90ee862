"""Comparison of a transformed random ticket with one other method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dlth_tf.analysis.power import seeds_for_difference, seeds_for_equivalence
from dlth_tf.analysis.roles import WINNING_TICKET, role
from dlth_tf.analysis.statistics import Difference, compare_means
from dlth_tf.plain_numbers import ABOVE_0, real_number


@dataclass(frozen=True)
class Comparison:
    """A transformed random ticket compared with another method at one sparsity.

    Attributes:
      against: Name of the other method.
      role: Role of the other method, "control" or "winning ticket".
      seeds: Seeds of the transformed ticket that `difference` is based on.
      difference: Difference in points of test accuracy, positive where the transformed ticket is better.
      margin: Largest difference that counts as equivalent, in points.
    """

    against: str
    role: str
    seeds: tuple[int, ...]
    difference: Difference
    margin: float

    @cached_property
    def interval_95(self) -> tuple[float, float]:
        """95 % confidence interval of the difference in points; NaN if it cannot be computed."""
        return self.difference.interval(0.95)

    @cached_property
    def interval_90(self) -> tuple[float, float]:
        """90 % confidence interval in points, which corresponds to two one-sided tests at 5 %."""
        return self.difference.interval(0.90)

    @property
    def better(self) -> bool:
        """True if the 95 % interval is above 0."""
        return self.interval_95[0] > 0

    @property
    def worse(self) -> bool:
        """True if the 95 % interval is below 0."""
        return self.interval_95[1] < 0

    @property
    def equivalent(self) -> bool:
        """True if the 90 % interval is within the margin; an equivalent ticket can still be better or worse."""
        return -self.margin < self.interval_90[0] and self.interval_90[1] < self.margin

    @property
    def outcome(self) -> str:
        """Outcome: "no test" (no interval), "equivalent", "better", "worse" or "undecided"; the first that applies."""
        if not self.difference.has_interval:
            return "no test"
        if self.equivalent:
            return "equivalent"
        if self.better:
            return "better"
        return "worse" if self.worse else "undecided"

    @cached_property
    def more_seeds(self) -> tuple[str, int | None] | None:
        """Purpose and number of the seeds needed if the outcome is "undecided", else None.

        The purpose is "equivalence" for a winning ticket whose observed difference is below the margin: the number is
        that of the seeds that would show equivalence if there is no true difference. If this comparison already has
        that many seeds, equivalence is unlikely, and the purpose is "difference", as for every other comparison: the
        number is that of the seeds that would detect a true difference of the observed size. Both numbers are estimated
        from the observed spread for a power of 80 %, and are None above `power.MOST_SEEDS`.
        """
        if self.outcome != "undecided":
            return None
        size = abs(self.difference.mean)
        spread = self.difference.spread
        paired = self.difference.paired
        if self.role == WINNING_TICKET and size < self.margin:
            number = seeds_for_equivalence(self.margin, spread, paired)
            if number is None or number > min(self.difference.seeds_a, self.difference.seeds_b):
                return "equivalence", number
        return "difference", seeds_for_difference(size, spread, paired)


def compare(
    transformed: Mapping[int, float], other: Mapping[int, float], against: str, margin: float, resolution: float = 0.0
) -> Comparison:
    """Compares a transformed ticket with another method.

    Args:
      transformed: Accuracy of the transformed ticket by seed, in points.
      other: Accuracy of the other method by seed, in points.
      against: Name of the other method.
      margin: Largest difference that counts as equivalent, in points, above 0.
      resolution: One test image in points; 0 if the size of the test set is unknown.
    """
    margin = real_number("margin", margin, ABOVE_0)
    difference = compare_means(transformed, other, resolution)
    seeds = sorted(transformed.keys() & other.keys() if difference.paired else transformed.keys())
    return Comparison(against, role(against), tuple(map(int, seeds)), difference, margin)
