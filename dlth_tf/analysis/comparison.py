"""A transformed random ticket against one other method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dlth_tf.analysis.power import seeds_to_show_equivalence, seeds_to_tell_apart
from dlth_tf.analysis.statistics import Difference, difference

WINNING = ("lth_iter", "lth")  # the first that a sweep has at a sparsity is its winning ticket


@dataclass(frozen=True)
class Comparison:
    """A transformed random ticket against another method at one sparsity.

    Attributes:
      against: the other method.
      role: "control" or "winning ticket".
      seeds: the seeds of the transformed ticket behind `found`.
      found: their difference in points, positive where the transformed ticket is better.
      margin: what counts as equivalent, in points.
    """

    against: str
    role: str
    seeds: tuple[int, ...]
    found: Difference
    margin: float

    @cached_property
    def interval_95(self) -> tuple[float, float]:
        """The 95 % interval of the difference, points; NaN where there is none."""
        return self.found.interval(0.95)

    @cached_property
    def interval_90(self) -> tuple[float, float]:
        """The 90 % interval, which is what two one-sided tests at 5 % ask for."""
        return self.found.interval(0.90)

    @property
    def better(self) -> bool:
        """Whether the 95 % interval lies above 0."""
        return self.interval_95[0] > 0

    @property
    def worse(self) -> bool:
        """Whether the 95 % interval lies below 0."""
        return self.interval_95[1] < 0

    @property
    def equivalent(self) -> bool:
        """Whether the 90 % interval lies within the margin; a difference can be equivalent and still be better or worse."""
        return -self.margin < self.interval_90[0] and self.interval_90[1] < self.margin

    @property
    def outcome(self) -> str:
        """One of equivalent, better, worse, undecided, no test (too few seeds for any interval); the first that holds."""
        if not self.found.known:
            return "no test"
        names = {"equivalent": self.equivalent, "better": self.better, "worse": self.worse, "undecided": True}
        return next(name for name, holds in names.items() if holds)

    @cached_property
    def more_seeds(self) -> tuple[str, int | None] | None:
        """(what for, how many seeds, None for more than 1000) where these are not enough; None where the matter is settled.

        "difference": what would tell a true difference of the observed size from none. "equivalence", for a winning ticket from
        which the observed difference is below the margin: what would show equivalence if there is no difference; unless these
        seeds are that many already, and so speak against it. Both from the observed spread, with a power of 80 %.
        """
        if self.outcome != "undecided":
            return None
        mean, spread, paired = abs(self.found.mean), self.found.spread, self.found.paired
        if self.role == "winning ticket" and mean < self.margin:
            number = seeds_to_show_equivalence(self.margin, spread, paired)
            if number is None or number > min(self.found.seeds_a, self.found.seeds_b):
                return "equivalence", number
        return "difference", seeds_to_tell_apart(mean, spread, paired)


def compare(
    transformed: Mapping[int, float], other: Mapping[int, float], against: str, margin: float, resolution: float = 0.0
) -> Comparison:
    """One comparison; accuracies are seed -> points, `resolution` is one test image in points."""
    found = difference(transformed, other, resolution)
    seeds = sorted(transformed.keys() & other.keys() if found.paired else transformed.keys())
    return Comparison(against, "winning ticket" if against in WINNING else "control", tuple(seeds), found, margin)
