"""Short answers to the first question: is a transformed random ticket as good as a winning one, and at which cost?"""

from __future__ import annotations

from collections.abc import Sequence

from dlth_tf.analysis.budgets import is_equal_budget
from dlth_tf.analysis.comparison import Comparison
from dlth_tf.analysis.roles import CONTROL, WINNING_TICKET, counterparts, question
from dlth_tf.analysis.sentences import either_of, interval_words, margin_words, points
from dlth_tf.analysis.tables import percent
from dlth_tf.analysis.verdict import Verdict

QUESTION = "Is a transformed random ticket as good as a winning one, and at which cost?"
_OUTCOMES = {
    "no test": "untested",
    "equivalent": "as good",
    "better": "better",
    "worse": "not as good",
    "undecided": "undecided",
}


def answers(verdicts: Sequence[Verdict], missing: int) -> list[str]:
    """Returns a sentence per verdict, after one that says so if planned runs have no result; empty without a verdict.

    Args:
      verdicts: The verdicts to answer from.
      missing: Number of planned runs without a result.
    """
    sentences = [answer(verdict) for verdict in verdicts]
    if sentences and missing:
        return [f"Preliminary: {missing} planned run{'s have' if missing > 1 else ' has'} no result.", *sentences]
    return sentences


def answer(verdict: Verdict) -> str:
    """Returns the answer at one sparsity: beside winning tickets, and beside controls with as many examples seen.

    A control at another budget is left to the longer sentences.
    """
    start = f"At {percent(verdict.sparsity)} sparsity, {verdict.method}"
    like = counterparts(verdict.method)
    unanswered = f"{start} cannot be compared like with like: there is no run of {either_of(like)}."
    ordered = sorted(verdict.comparisons, key=lambda comparison: comparison.role == CONTROL)
    phrases = [_phrase(verdict, comparison) for comparison in ordered if _matters(verdict, comparison)]
    stated = [f"{start} {'; '.join(phrases)}."] if phrases else []
    return " ".join(stated if set(like) & set(verdict.others) else [unanswered, *stated])


def _matters(verdict: Verdict, comparison: Comparison) -> bool:
    images = verdict.others[comparison.against].images_seen
    return comparison.role == WINNING_TICKET or is_equal_budget(verdict.own_images(comparison.against), images)


def _phrase(verdict: Verdict, comparison: Comparison) -> str:
    other = verdict.others[comparison.against]
    images = verdict.own_images(comparison.against)
    asked = question(verdict.method, comparison.against)
    facts = [
        *([asked] if asked != CONTROL else []),
        "at equal budget"
        if is_equal_budget(images, other.images_seen)
        else f"with {images:,.0f} examples seen instead of {other.images_seen:,.0f}",
        *([f"with {len(other.at_chance)} of its {other.seeds} seeds at chance"] if other.at_chance else []),
    ]
    return f"beside {comparison.against}, {', '.join(facts)}: {_OUTCOMES[comparison.outcome]} ({_evidence(comparison)})"


def _evidence(comparison: Comparison) -> str:
    margin = f"equivalent within {margin_words(comparison.margin)}; " if comparison.outcome == "equivalent" else ""
    interval = interval_words(comparison.interval_95) if comparison.difference.has_interval else "without an interval"
    return f"{margin}difference {points(comparison.difference.mean)} {interval}"
