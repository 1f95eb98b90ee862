"""Short answers to the reader's first question."""

from __future__ import annotations

import dataclasses

import pytest

from dlth_tf.analysis.answers import answer, answers
from dlth_tf.analysis.comparison import compare
from dlth_tf.analysis.verdict import Runs, Verdict

RST = {0: 92.0, 1: 93.0, 2: 96.0}
SAME = {0: 92.0, 1: 92.8, 2: 95.6}  # 0, .2, .4 below rst


def verdict_on(others: dict[str, tuple[dict[int, float], Runs]], method: str = "rst") -> Verdict:
    comparisons = tuple(compare(RST, accuracies, name, 1.0, 0.2) for name, (accuracies, _) in others.items())
    return Verdict(method, 0.98, 0.94, comparisons, Runs(3, 900.0), {name: runs for name, (_, runs) in others.items()})


def shifted(points: float) -> dict[int, float]:
    return {seed: accuracy + points for seed, accuracy in SAME.items()}


def test_winning_tickets_come_first_and_the_control_at_equal_budget_last() -> None:
    others = {
        "scratch": (shifted(-9), Runs(3, 400.0)),
        "scratch_long": (shifted(-4), Runs(3, 900.0, (2,))),
        "lth": (SAME, Runs(3, 1350.0)),
        "lth_iter": (shifted(3), Runs(3, 1800.0)),
    }
    assert answer(verdict_on(others)) == (
        "At 98 % sparsity, rst beside lth, like with like, with 900 examples seen instead of 1,350: as good "
        "(equivalent within 1 point; difference 0.20 [-0.30, 0.70]); beside lth_iter, the harder question, with 900 "
        "examples seen instead of 1,800: not as good (difference -2.80 [-3.30, -2.30]); beside scratch_long, at equal "
        "budget, with 1 of its 3 seeds at chance: better (difference 4.20 [3.70, 4.70])."
    )


def test_the_budget_is_that_of_the_seeds_that_are_compared() -> None:
    verdict = verdict_on({"lth": (SAME, Runs(3, 1350.0)), "scratch_long": (shifted(-4), Runs(3, 900.0))})
    said = answer(dataclasses.replace(verdict, images_beside={"lth": 1350.0, "scratch_long": 1200.0}))
    assert "lth, like with like, at equal budget: " in said and "scratch_long" not in said


def test_without_its_counterpart_a_ticket_is_not_compared_like_with_like() -> None:
    lacking = "At 98 % sparsity, rst cannot be compared like with like: there is no run of lth or lth_long."
    assert answer(verdict_on({"scratch": (SAME, Runs(3, 400.0))})) == lacking
    harder = answer(verdict_on({"lth_iter": (SAME, Runs(3, 1800.0))}))
    assert harder.startswith(f"{lacking} At 98 % sparsity, rst beside lth_iter, the harder question, ")


def test_a_winning_ticket_at_equal_budget_alone_is_a_comparison_like_with_like() -> None:
    assert answer(verdict_on({"lth_long": (SAME, Runs(3, 900.0))})).startswith(
        "At 98 % sparsity, rst beside lth_long, like with like, at equal budget: as good ("
    )
    other = answer(verdict_on({"scratch": (SAME, Runs(3, 400.0))}, "rst_iter"))
    assert other == "At 98 % sparsity, rst_iter cannot be compared like with like: there is no run of lth_iter."


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        (
            {0: 91.0, 1: 90.0, 2: 91.0},
            "beside lth_iter, like with like, at equal budget: undecided (difference 3.00 [",
        ),
        (
            {0: 91.0},
            "beside lth_iter, like with like, at equal budget: untested (difference 2.67 without an interval)",
        ),
    ],
)
def test_what_is_not_decided_is_said_to_be_open(accuracies: dict[int, float], words: str) -> None:
    assert words in answer(verdict_on({"lth_iter": (accuracies, Runs(3, 900.0))}, "rst_iter"))


@pytest.mark.parametrize(
    ("missing", "words"),
    [(1, "Preliminary: 1 planned run has no result."), (2, "Preliminary: 2 planned runs have no result.")],
)
def test_a_half_done_sweep_is_said_to_be_one(missing: int, words: str) -> None:
    verdict = verdict_on({"lth": (SAME, Runs(3, 900.0))})
    assert answers([verdict], missing) == [words, answer(verdict)]
    assert answers([verdict], 0) == [answer(verdict)] and answers([], missing) == []
