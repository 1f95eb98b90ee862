"""The verdict in words: one plain sentence per transformed ticket and sparsity, and what a reader must know beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from dlth_tf.analysis.comparison import WINNING, Comparison
from dlth_tf.analysis.power import MOST_SEEDS
from dlth_tf.analysis.tables import percent
from dlth_tf.analysis.verdict import CONTROLS, POINTS, TRANSFORMED, Verdict, binomial_error

_ONE = "over 1 seed, "


def sentence(verdict: Verdict) -> str:
    """What the seeds say about one transformed ticket at one sparsity."""
    start, ticket = f"At {percent(verdict.sparsity)}", f"the transformed random ticket ({verdict.method})"
    if not verdict.comparisons:
        return (
            f"{start}, {ticket} has nothing to be compared with: the sweep has no {_either(CONTROLS + WINNING)} there."
        )
    common = _common_seeds(verdict.comparisons)
    phrases = _list([_phrase(comparison, seeds_said=bool(common)) for comparison in verdict.comparisons])
    ending = (
        " One seed says nothing about chance: run several, and the report can say how many would do."
        if common == _ONE
        else ""
    )
    return f"{start}, {common}{ticket} is {phrases}.{ending}"


def conclusions(verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence per verdict, or the one that says why there is none."""
    return [sentence(verdict) for verdict in verdicts] or [
        f"No verdict: the sweep has no complete run of {_either(TRANSFORMED)}."
    ]


def notes(verdicts: Sequence[Verdict], margin: float, test_images: int | None, missing: int) -> list[str]:
    """How the sentences are to be read, a sentence or two each."""
    comparisons = [comparison for verdict in verdicts for comparison in verdict.comparisons]
    if not comparisons:
        return []
    found = [
        f"Differences are in points of test accuracy after the last epoch, seed by seed where seeds are shared. [a, b] is a 95 % interval "
        f"over seeds. Equivalent means that the 90 % interval lies within ±{_margin(margin)} (two one-sided t-tests at 5 %)."
    ]
    if any(comparison.more_seeds for comparison in comparisons):
        found.append(
            "How many seeds would do is an estimate from the observed spread, with a power of 80 %: to tell a true difference of the "
            "observed size from none, or to show equivalence if there is no difference at all."
        )
    if len(comparisons) > 1:
        found.append(
            f"Intervals are not corrected for multiplicity: each of the {len(comparisons)} comparisons has its own 5 % of error."
        )
    found.append(_test_set_note(verdicts, margin, test_images))
    if missing:
        left_out = (
            "1 planned run has no result and is" if missing == 1 else f"{missing} planned runs have no result and are"
        )
        found.append(f"{left_out} in no comparison.")
    return found


def _test_set_note(verdicts: Sequence[Verdict], margin: float, images: int | None) -> str:
    if images is None:
        return "The size of the test set is not known (no config.json says it, or they differ), so its part in the error is not either."
    errors = [binomial_error(verdict.accuracy, images) for verdict in verdicts]
    error = " to ".join(dict.fromkeys((points(min(errors)), points(max(errors)))))
    step = POINTS / images
    finer = " The margin is finer than one image." if margin < step else ""
    return (
        f"The test set has {images:,} images: one image is {step:.2g} points, and one accuracy measured on them has a binomial standard "
        f"error of {error} points. The intervals speak of other seeds on these images, not of other images.{finer}"
    )


def _phrase(comparison: Comparison, seeds_said: bool) -> str:
    found, outcome = comparison.found, comparison.outcome
    name, within = _name(comparison), f"within {_margin(comparison.margin)}"
    aside = "" if seeds_said else f" ({_seeds(comparison)})"
    size, side = points(abs(found.mean)), "above" if found.mean > 0 else "below"
    measured = f"difference {points(found.mean)}, 90 % interval {_interval(comparison.interval_90)}"
    if outcome == "no test":
        return (
            f"{size} points {side} {name}" if found.mean else f"level with {name}"
        ) + f"{aside} (no interval can be given)"
    if outcome in ("better", "worse"):
        return f"{size} {_interval(_oriented(comparison))} points {side} {name}{aside}"
    if outcome == "equivalent":
        slightly = (
            f"; slightly {side}, 95 % interval {_interval(comparison.interval_95)}"
            if comparison.better or comparison.worse
            else ""
        )
        return f"equivalent to {name} {within}{aside} ({measured}{slightly})"
    if comparison.role == "control":
        return f"not told apart from {name}{aside} (difference {points(found.mean)} {_interval(comparison.interval_95)}; {_more(comparison)})"
    return (
        f"neither told apart from {name} nor shown equivalent to it {within}{aside} ({measured}; {_more(comparison)})"
    )


def _margin(margin: float) -> str:
    return f"{margin:g} point" + ("" if margin == 1 else "s")


def _name(comparison: Comparison) -> str:
    if comparison.role == "winning ticket":
        return f"the winning ticket ({comparison.against})"
    return comparison.against + (" (as many images as rst)" if comparison.against == "scratch_long" else "")


def _more(comparison: Comparison) -> str:
    purpose, number = cast("tuple[str, int | None]", comparison.more_seeds)  # there is one: the matter is not settled
    seeds = f"more than {MOST_SEEDS} seeds" if number is None else f"about {number} seeds"
    return f"{seeds} would {'show equivalence if there is no difference' if purpose == 'equivalence' else 'tell them apart'}"


def _oriented(comparison: Comparison) -> tuple[float, float]:
    """The 95 % interval of the distance that the sentence speaks of, which is positive."""
    low, high = comparison.interval_95
    return (low, high) if comparison.found.mean > 0 else (-high, -low)


def _common_seeds(comparisons: Sequence[Comparison]) -> str:
    """How many seeds stand behind all comparisons alike; empty if they differ."""
    found = {_seeds(comparison) for comparison in comparisons}
    return f"over {found.pop()}, " if len(found) == 1 else ""


def _seeds(comparison: Comparison) -> str:
    a, b = comparison.found.seeds_a, comparison.found.seeds_b
    if comparison.found.paired:
        return f"{a} seed{'s' if a > 1 else ''}"
    return f"{a} against {b} seeds that are not shared"


def points(value: float) -> str:
    """Points as they are said: two decimals where they are small.

    >>> points(2.934), points(-.001), points(36.23)
    ('2.93', '0.00', '36.2')
    """
    decimals = 2 if abs(value) < 9.995 else 1
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _interval(ends: tuple[float, float]) -> str:
    return f"[{points(ends[0])}, {points(ends[1])}]"


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}{',' if len(words) > 2 else ''} and {words[-1]}"


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
