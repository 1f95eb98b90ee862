"""Verdicts and notes in words."""

from __future__ import annotations

import dataclasses
import doctest

import pytest

from dlth_tf.analysis import budgets, chance, costs, sentences
from dlth_tf.analysis.comparison import compare
from dlth_tf.analysis.sentences import conclusions, notes, sentence
from dlth_tf.analysis.settings import Settings
from dlth_tf.analysis.verdict import Runs, Verdict


def verdict_on(margin: float = 1.0, resolution: float = 0.2, **others: list[float] | dict[int, float]) -> Verdict:
    """Returns a verdict on rst at 98 %, with 92, 93, 96, ... points, against the accuracies of the others."""
    rst = dict(enumerate([92.0, 93.0, 96.0][: min(3, max(map(len, others.values()), default=3))]))
    values = {name: other if isinstance(other, dict) else dict(enumerate(other)) for name, other in others.items()}
    comparisons = tuple(compare(rst, values[name], name, margin, resolution) for name in values)
    return Verdict("rst", 0.98, 0.9, comparisons, Runs(len(rst), 900.0), {name: COSTS[name] for name in values})


COSTS = {
    "scratch": Runs(3, 400.0),
    "scratch_long": Runs(3, 900.0),
    "lth": Runs(3, 1350.0),
    "lth_long": Runs(3, 1350.0),
    "lth_iter": Runs(3, 1800.0),
}
SETTINGS = Settings({}, {}, {}, (), (), 500, 10)
UNKNOWN = Settings({}, {}, {}, (), (), None)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (
            {"scratch": [90.0, 90.0, 92.0], "lth": [92.0, 92.8, 95.6]},  # differences 2, 3, 4 and 0, .2, .4
            "At 98 % sparsity, over 3 seeds, the transformed random ticket (rst) is 3.00 [0.52, 5.48] points above "
            "scratch and equivalent to the winning ticket (lth, like with like) within 1 point (difference 0.20, "
            "90 % interval [-0.14, 0.54]).",
        ),
        (
            {"scratch_long": [94.0, 96.0, 100.0], "lth_iter": [91.0, 90.0, 91.0]},  # -2, -3, -4 and 1, 3, 5
            "At 98 % sparsity, over 3 seeds, the transformed random ticket (rst) is 3.00 [0.52, 5.48] points below "
            "scratch_long (as many examples as rst) and inconclusive against the winning ticket (lth_iter, the "
            "harder question): neither a significant difference nor equivalence within 1 point (difference 3.00, "
            "90 % interval [-0.37, 6.37]; about 6 seeds would detect a difference of this size).",
        ),
        (
            {"scratch": [91.0, 90.0, 91.0]},
            "At 98 % sparsity, over 3 seeds, the transformed random ticket (rst) is not significantly different from "
            "scratch (difference 3.00 [-1.97, 7.97]; about 6 seeds would detect a difference of this size).",
        ),
        (
            {"lth": [91.79, 92.8, 95.81]},  # .21, .2, .19: the spread is that of rounding
            "At 98 % sparsity, over 3 seeds, the transformed random ticket (rst) is equivalent to the winning ticket "
            "(lth, like with like) within 1 point (difference 0.20, 90 % interval [0.06, 0.34]).",
        ),
        (
            {"lth": [92.4, 92.8, 96.4]},  # -.4, .2, -.4
            "At 98 % sparsity, over 3 seeds, the transformed random ticket (rst) is equivalent to the winning ticket "
            "(lth, like with like) within 1 point (difference -0.20, 90 % interval [-0.78, 0.38]).",
        ),
        (
            {"scratch": [90.0], "lth": [92.0]},
            "At 98 % sparsity, over 1 seed, the transformed random ticket (rst) is 2.00 points above scratch "
            "and level with the winning ticket (lth, like with like). A single seed provides no estimate of the "
            "variance: run several, and the report estimates how many are needed.",
        ),
        (
            {"scratch": {0: 90.0, 1: 90.0, 2: 92.0}, "lth": {7: 80.0, 8: 80.0}},
            "At 98 % sparsity, the transformed random ticket (rst) is 3.00 [0.52, 5.48] points above scratch (3 "
            "seeds) and 13.7 [8.50, 18.8] points above the winning ticket (lth, like with like) (3 "
            "versus 2 seeds, not shared).",
        ),
        (
            {},
            "At 98 % sparsity, the transformed random ticket (rst) cannot be compared: the sweep contains no run of "
            "scratch, scratch_long, lth, lth_long or lth_iter.",
        ),
    ],
)
def test_the_sentence_states_the_outcomes(others: dict, words: str) -> None:
    verdict = verdict_on(**others)
    said = sentence(verdict)
    assert said.startswith(words) and ("Examples seen" in said) == bool(verdict.comparisons)


@pytest.mark.parametrize(
    ("own", "images", "remark"),
    [(900.0, 900.0, ", as many examples as rst"), (900.0, 907.0, ", as many examples as rst"), (900.0, 1620.0, "")],
)
def test_a_method_has_seen_as_many_examples_only_if_it_has(own: float, images: float, remark: str) -> None:
    verdict = verdict_on(lth_long=[92.0, 92.8, 95.6], scratch_long=[90.0, 90.0, 92.0])
    seen = {name: Runs(3, images) for name in verdict.others}
    said = sentence(dataclasses.replace(verdict, others=seen, images_beside=dict.fromkeys(seen, own)))
    assert f"the winning ticket (lth_long{remark}, like with like)" in said
    assert ("scratch_long (as many examples as rst)" in said) == bool(remark)
    assert ("equal budget" in said) == bool(remark)


def test_the_remark_names_the_ticket_that_is_compared() -> None:
    verdict = dataclasses.replace(verdict_on(scratch_long=[90.0, 90.0, 92.0]), method="rst_iter")
    assert "scratch_long (as many examples as rst_iter)" in sentence(verdict)


def test_the_cost_of_every_method_and_equal_budgets_are_stated() -> None:
    said = sentence(verdict_on(scratch_long=[90.0, 90.0, 92.0], lth=[92.0, 92.8, 95.6], lth_iter=[92.0, 92.8, 95.6]))
    assert said.endswith(
        " Examples seen: 900 by rst; 900 by scratch_long (equal budget), 1,350 by lth (1.5 times as many), 1,800 by "
        "lth_iter (2 times as many)."
    )


def test_where_comparisons_have_seeds_of_their_own_each_has_its_cost() -> None:
    verdict = verdict_on(scratch_long=[90.0, 90.0, 92.0], lth=[92.0, 92.8])
    said = sentence(dataclasses.replace(verdict, images_beside={"scratch_long": 900.0, "lth": 1350.0}))
    assert said.endswith(
        " Examples seen, over the seeds of each comparison: 900 by rst and 900 by scratch_long (equal budget); 1,350 "
        "by rst and 1,350 by lth (equal budget)."
    )


@pytest.mark.parametrize(
    ("others", "missing"), [(["lth"], False), (["lth_long"], False), (["lth", "lth_iter"], False), (["lth_iter"], True)]
)
def test_a_missing_comparison_like_with_like_is_stated(others: list[str], missing: bool) -> None:
    said = sentence(verdict_on(**{name: [92.0, 92.8, 95.6] for name in others}))
    words = "like with like, rst beside lth or lth_long, is missing: the sweep contains no run of lth or lth_long"
    assert (words in said) is missing


def test_seeds_at_chance_are_named_of_any_method() -> None:
    verdict = verdict_on(scratch=[10.0, 90.0, 92.0], lth=[92.0, 92.8, 95.6])
    others = {**verdict.others, "scratch": Runs(8, 400.0, (0, 5))}
    said = sentence(dataclasses.replace(verdict, runs=Runs(1, 900.0, (3,)), others=others))
    assert said.endswith(
        "rst stays at chance accuracy in 1 of 1 seed (seed 3), which its mean includes. scratch stays at chance "
        "accuracy in 2 of 8 seeds (seeds 0, 5), which its mean includes."
    )
    assert "chance" not in sentence(verdict)


def test_a_small_but_significant_difference_is_stated_with_the_equivalence() -> None:
    stated = sentence(verdict_on(resolution=0.01, lth=[91.79, 92.8, 95.81]))
    assert (
        "within 1 point (difference 0.20, 90 % interval [0.18, 0.22]; slightly above, 95 % interval [0.18, 0.22])"
        in stated
    )


def test_more_seeds_than_anyone_would_run_are_not_counted() -> None:
    assert "more than 1000 seeds would detect a difference of this size" in sentence(
        verdict_on(scratch=[98.0, 93.0, 90.0])
    )


def test_seeds_that_would_show_equivalence_are_stated_with_their_condition() -> None:
    assert "about 5 seeds would show equivalence if there is no difference" in sentence(
        verdict_on(lth=[92.4, 92.8, 95.2])
    )


def test_without_the_method_there_is_no_verdict() -> None:
    assert conclusions([]) == ["No verdict: the sweep contains no complete run of rst or rst_iter."]
    assert conclusions([verdict_on()]) == [sentence(verdict_on())]


def test_notes_say_how_to_read_it() -> None:
    undecided = verdict_on(scratch=[91.0, 90.0, 91.0], lth=[92.0, 92.8, 95.6])
    text = " ".join(notes([undecided], 1.0, SETTINGS, missing=2))
    for words in (
        "95 % confidence interval",
        "within ±1 point",
        "power of 80 %",
        "not corrected for multiplicity: each of the 2 comparisons",
        "has 500 examples: one example is 0.2 points",
        "half of Wilson's 95 % interval of a single accuracy is 2.64 points",  # of 450 of 500: [.8706, .9234]
        "2 planned runs have no result and are excluded from the comparisons",
        "means rst beside lth and rst_iter beside lth_iter",
        "Equal budget means that two methods differ by at most 1 %",
        "Wilson's 95 % interval of its accuracy contains 10 %, a guess among 10 classes",
    ):
        assert words in text


def test_notes_leave_out_what_does_not_concern_the_reader() -> None:
    text = " ".join(notes([verdict_on(lth=[92.0, 92.8, 95.6])], 1.0, UNKNOWN, missing=0))
    assert (
        "power" not in text
        and "multiplicity" not in text
        and "planned" not in text
        and "size of the test set is unknown (the runs do not all have a config.json that states the same one)" in text
        and "Runs at chance accuracy are not named" in text
    )
    assert notes([verdict_on()], 1.0, SETTINGS, missing=3) == notes([], 1.0, SETTINGS, missing=3) == []


def test_an_accuracy_of_one_has_an_uncertainty() -> None:
    verdict = dataclasses.replace(verdict_on(lth=[92.0, 92.8, 95.6]), accuracy=1.0)
    assert "of a single accuracy is 0.38 points" in " ".join(notes([verdict], 1.0, SETTINGS, missing=0))


@pytest.mark.parametrize(("margin", "stated"), [(0.1, True), (0.2, False)])
def test_a_margin_finer_than_an_image_is_pointed_out(margin: float, stated: bool) -> None:
    assert ("finer than one example" in " ".join(notes([verdict_on(lth=[92.0, 92.8])], margin, SETTINGS, 0))) is stated


def test_a_single_missing_run_is_in_the_singular() -> None:
    assert (
        notes([verdict_on(lth=[92.0, 92.8])], 1.0, SETTINGS, missing=1)[-1]
        == "1 planned run has no result and is excluded from the comparisons."
    )


@pytest.mark.parametrize("module", [budgets, chance, costs, sentences])
def test_docstring_examples_are_true(module) -> None:
    result = doctest.testmod(module)
    assert result.failed == 0 and result.attempted > 0


@pytest.mark.parametrize(("margin", "words"), [(1.0, "±1 point ("), (0.5, "±0.5 points (")])
def test_a_margin_of_one_is_a_point(margin: float, words: str) -> None:
    assert words in notes([verdict_on(lth=[92.0, 92.8])], margin, SETTINGS, 0)[0]
