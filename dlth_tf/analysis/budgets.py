"""Budgets: the cost of a transformed ticket beside that of the methods that it is compared with, in words."""

from __future__ import annotations

from dlth_tf.analysis.verdict import Runs, Verdict

EQUAL = 0.01  # a larger difference in examples seen is more than the rounding to whole steps


def is_equal_budget(images: float, others: float) -> bool:
    """Returns True if two methods see as many examples, to within 1 %.

    >>> is_equal_budget(591_104, 591_232), is_equal_budget(591_104, 862_208)
    (True, False)
    """
    return abs(images - others) <= EQUAL * max(images, others)


def ratio(images: float, others: float) -> str:
    """Returns the examples that the other method sees as words relative to those of this one.

    >>> ratio(591_104, 862_208), ratio(591_104, 591_104)
    ('1.46 times as many', 'equal budget')
    """
    if is_equal_budget(images, others):
        return "equal budget"
    return f"{others / images:.3g} times as many" if images else "not comparable"


def cost_sentence(verdict: Verdict) -> str:
    """Returns the sentence on examples seen by the transformed ticket and by every method that it is compared with.

    They are means over the seeds of a comparison; where these differ between comparisons, and with them the examples
    of the ticket, each has its own.
    """
    own = {name: verdict.own_images(name) for name in verdict.others}
    costs = {
        name: f"{runs.images_seen:,.0f} by {name} ({ratio(own[name], runs.images_seen)})"
        for name, runs in verdict.others.items()
    }
    if len({f"{images:,.0f}" for images in own.values()}) == 1:
        return f"Examples seen: {next(iter(own.values())):,.0f} by {verdict.method}; {', '.join(costs.values())}."
    pairs = [f"{own[name]:,.0f} by {verdict.method} and {cost}" for name, cost in costs.items()]
    return f"Examples seen, over the seeds of each comparison: {'; '.join(pairs)}."


def chance_sentences(verdict: Verdict) -> list[str]:
    """Returns a sentence per method, the transformed ticket or another one, of which a seed is at chance accuracy."""
    everyone = {verdict.method: verdict.runs, **verdict.others}
    return [_chance_sentence(name, runs, runs.at_chance) for name, runs in everyone.items() if runs.at_chance]


def _chance_sentence(name: str, runs: Runs, at_chance: tuple[int, ...]) -> str:
    number = f"{len(at_chance)} of {runs.seeds} seed{'s' if runs.seeds > 1 else ''}"
    which = f"seed{'s' if len(at_chance) > 1 else ''} {', '.join(map(str, at_chance))}"
    return f"{name} stays at chance accuracy in {number} ({which}), which its mean includes."
