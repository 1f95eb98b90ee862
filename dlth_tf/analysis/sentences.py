"""Verdicts in words: one paragraph per transformed ticket and sparsity, and notes on how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from dlth_tf.analysis.budgets import chance_sentences, cost_sentence, is_equal_budget
from dlth_tf.analysis.chance import wilson_interval
from dlth_tf.analysis.comparison import Comparison
from dlth_tf.analysis.power import MOST_SEEDS
from dlth_tf.analysis.roles import (
    CONTROL,
    COUNTERPART,
    LONG,
    TRANSFORMED,
    WINNING_TICKET,
    counterparts,
    opponents,
    question,
)
from dlth_tf.analysis.settings import Settings
from dlth_tf.analysis.tables import percent
from dlth_tf.analysis.verdict import POINTS, Verdict
from dlth_tf.measures import ACCURACY

_ONE = "over 1 seed, "
_PAIRS_NOTE = (
    f"Like with like, as in the paper, means {' and '.join(f'{a} beside {b}' for a, b in COUNTERPART.items())}; the "
    "harder question is whether a ticket transformed once matches one found in several rounds."
)
_BUDGET_NOTE = (
    "Examples seen are means over seeds and count every phase of a run. Equal budget means that two methods differ by "
    "at most 1 % in them; the other comparisons are at unequal cost."
)


def sentence(verdict: Verdict) -> str:
    """Returns the sentence on one transformed ticket at one sparsity, followed by those on costs and on its limits."""
    start = f"At {percent(verdict.sparsity)} sparsity"
    ticket = f"the transformed random ticket ({verdict.method})"
    if not verdict.comparisons:
        others = either_of(opponents(verdict.method))
        return f"{start}, {ticket} cannot be compared: the sweep contains no run of {others}."
    seeds = _common_seeds(verdict.comparisons)
    phrases = [_phrase(verdict, comparison, seeds) for comparison in verdict.comparisons]
    single = (
        "A single seed provides no estimate of the variance: run several, and the report estimates how many are needed."
    )
    return " ".join(
        [
            f"{start}, {seeds}{ticket} is {join_words(phrases)}.",
            *([single] if seeds == _ONE else []),
            *_missing_counterpart(verdict),
            cost_sentence(verdict),
            *chance_sentences(verdict),
        ]
    )


def _missing_counterpart(verdict: Verdict) -> list[str]:
    like = counterparts(verdict.method)
    if set(like) & set(verdict.others):
        return []
    return [
        f"The comparison like with like, {verdict.method} beside {either_of(like)}, is missing: the sweep contains no "
        f"run of {either_of(like)} at this sparsity."
    ]


def conclusions(verdicts: Sequence[Verdict]) -> list[str]:
    """Returns a sentence per verdict, or one that explains why there is no verdict."""
    return [sentence(verdict) for verdict in verdicts] or [
        f"No verdict: the sweep contains no complete run of {either_of(TRANSFORMED)}."
    ]


def notes(verdicts: Sequence[Verdict], margin: float, settings: Settings, missing: int) -> list[str]:
    """Returns notes on how to read the sentences, one or two sentences each; empty if nothing was compared.

    Args:
      verdicts: The verdicts that the sentences are about.
      margin: Largest difference that counts as equivalent, in points.
      settings: Settings of the runs, with the numbers of test images and classes, if known.
      missing: Number of planned runs without a result.
    """
    comparisons = [comparison for verdict in verdicts for comparison in verdict.comparisons]
    if not comparisons:
        return []
    texts = [
        f"{_unit(verdicts[0])}, paired by seed where seeds are shared. "
        "[a, b] is a 95 % confidence interval over seeds. Equivalent means that the 90 % interval is within "
        f"±{margin_words(margin)} (two one-sided t-tests at 5 %)."
    ]
    if any(comparison.more_seeds for comparison in comparisons):
        texts.append(
            "The number of seeds needed is estimated from the observed spread for a power of 80 %: to detect a true "
            "difference of the observed size, or to show equivalence if there is no true difference."
        )
    if len(comparisons) > 1:
        texts.append(
            f"Intervals are not corrected for multiplicity: each of the {len(comparisons)} comparisons has "
            "an error rate of 5 %."
        )
    texts += [_PAIRS_NOTE, _BUDGET_NOTE]
    if verdicts[0].measure is ACCURACY:
        texts += [_test_set_note(verdicts, margin, settings.test_images), _chance_note(settings)]
    else:
        texts.append("The intervals cover other seeds on these test examples, not other test examples.")
    if missing:
        runs = (
            "1 planned run has no result and is" if missing == 1 else f"{missing} planned runs have no result and are"
        )
        texts.append(f"{runs} excluded from the comparisons.")
    return texts


def _unit(verdict: Verdict) -> str:
    """Returns the unit of the differences."""
    if verdict.measure is ACCURACY:
        return "Differences are in points of test accuracy after the last epoch"
    return (
        "Differences are in test mean squared error after the last epoch, positive where that of the transformed "
        f"ticket is smaller, in points of 1 % of the variance of the test targets ({verdict.target_variance:.4g})"
    )


def _chance_note(settings: Settings) -> str:
    if settings.test_images is None or settings.classes is None:
        return "Runs at chance accuracy are not named, since the number of classes or of test examples is unknown."
    return (
        f"A run is at chance if Wilson's 95 % interval of its accuracy contains {percent(1 / settings.classes)}, a "
        f"guess among {settings.classes:,} classes."
    )


def _test_set_note(verdicts: Sequence[Verdict], margin: float, images: int | None) -> str:
    if images is None:
        return (
            "The size of the test set is unknown (the runs do not all have a config.json that states the same one), "
            "and so is its contribution to the error."
        )
    ends = [wilson_interval(verdict.accuracy, images) for verdict in verdicts]
    halves = [POINTS * (high - low) / 2 for low, high in ends]
    half = " to ".join(dict.fromkeys((points(min(halves)), points(max(halves)))))
    step = POINTS / images
    finer = " The margin is finer than one example." if margin < step else ""
    return (
        f"The test set has {images:,} examples: one example is {step:.2g} points, and half of Wilson's 95 % interval "
        f"of a single accuracy is {half} points. The intervals cover other seeds on these examples, not other "
        f"examples.{finer}"
    )


def _phrase(verdict: Verdict, comparison: Comparison, seeds: str) -> str:
    seeds_stated, alone = bool(seeds), seeds == _ONE
    mean = comparison.difference.mean
    outcome = comparison.outcome
    name = _name(verdict, comparison)
    aside = "" if seeds_stated else f" ({_seeds(comparison)})"
    size = points(abs(mean))
    above, below = ("above", "below") if verdict.measure is ACCURACY else ("better than", "worse than")
    side = above if mean > 0 else below
    if outcome == "no test":
        position = f"{size} points {side} {name}" if mean else f"level with {name}"
        return f"{position}{aside}" if alone else f"{position}{aside} (no interval can be computed)"
    if outcome in ("better", "worse"):
        return f"{size} {interval_words(_oriented(comparison))} points {side} {name}{aside}"
    within = f"within {margin_words(comparison.margin)}"
    measured = f"difference {points(mean)}, 90 % interval {interval_words(comparison.interval_90)}"
    if outcome == "equivalent":
        slightly = (
            f"; slightly {side.removesuffix(' than')}, 95 % interval {interval_words(comparison.interval_95)}"
            if comparison.better or comparison.worse
            else ""
        )
        return f"equivalent to {name} {within}{aside} ({measured}{slightly})"
    if comparison.role == CONTROL:
        measured = f"difference {points(mean)} {interval_words(comparison.interval_95)}"
        return f"not significantly different from {name}{aside} ({measured}; {_more(comparison)})"
    return (
        f"inconclusive against {name}: neither a significant difference nor equivalence {within}{aside} "
        f"({measured}; {_more(comparison)})"
    )


def margin_words(margin: float) -> str:
    """Formats a margin in points.

    >>> margin_words(.5), margin_words(1)
    ('0.5 points', '1 point')
    """
    return f"{margin:g} point" + ("" if margin == 1 else "s")


def _name(verdict: Verdict, comparison: Comparison) -> str:
    against = comparison.against
    long = against in LONG and is_equal_budget(verdict.own_images(against), verdict.others[against].images_seen)
    remark = [f"as many examples as {verdict.method}"] if long else []
    if comparison.role == WINNING_TICKET:
        facts = [against, *remark, question(verdict.method, against)]
        return f"the winning ticket ({', '.join(facts)})"
    return against + (f" ({remark[0]})" if remark else "")


def _more(comparison: Comparison) -> str:
    purpose, number = cast("tuple[str, int | None]", comparison.more_seeds)  # not None: the comparison is undecided
    seeds = f"more than {MOST_SEEDS} seeds" if number is None else f"about {number} seeds"
    if purpose == "equivalence":
        return f"{seeds} would show equivalence if there is no difference"
    return f"{seeds} would detect a difference of this size"


def _oriented(comparison: Comparison) -> tuple[float, float]:
    """Returns the 95 % interval of the size of the difference, which the sentence states without its sign."""
    low, high = comparison.interval_95
    return (low, high) if comparison.difference.mean > 0 else (-high, -low)


def _common_seeds(comparisons: Sequence[Comparison]) -> str:
    """Returns the number of seeds if all comparisons have the same one ("over 3 seeds, "), else an empty text."""
    texts = {_seeds(comparison) for comparison in comparisons}
    return f"over {texts.pop()}, " if len(texts) == 1 else ""


def _seeds(comparison: Comparison) -> str:
    difference = comparison.difference
    if difference.paired:
        return f"{difference.seeds_a} seed{'s' if difference.seeds_a > 1 else ''}"
    return f"{difference.seeds_a} versus {difference.seeds_b} seeds, not shared"


def points(value: float) -> str:
    """Formats points of accuracy: two decimals if they are below 10, else one.

    >>> points(2.934), points(-.001), points(36.23)
    ('2.93', '0.00', '36.2')
    """
    decimals = 2 if abs(value) < 9.995 else 1
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def interval_words(ends: tuple[float, float]) -> str:
    """Formats an interval in points.

    >>> interval_words((-.54, 13.25))
    '[-0.54, 13.2]'
    """
    return f"[{points(ends[0])}, {points(ends[1])}]"


def join_words(words: Sequence[str]) -> str:
    """Joins words or phrases, at least one, with commas and "and".

    >>> join_words(["a", "b"]), join_words(["a", "b", "c"])
    ('a and b', 'a, b, and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}{',' if len(words) > 2 else ''} and {words[-1]}"


def either_of(words: Sequence[str]) -> str:
    """Joins words, at least one, with commas and "or"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
