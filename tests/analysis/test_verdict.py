"""Verdicts: which methods are compared, and the numbers of verdict.json."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.verdict import Runs, Verdict, binomial_error, check_margin, judge, verdict_json
from dlth_tf.errors import BadInput
from tests.analysis.conftest import Run, WriteSweep, seeds

RST = seeds("rst", 0.98, 0.96, 0.965, 0.97)


@pytest.fixture
def results(write_sweep: WriteSweep):
    def read(*groups: list[Run]) -> pd.DataFrame:
        return read_results(write_sweep([run for group in groups for run in group]))

    return read


def test_each_ticket_meets_the_controls_and_the_winning_ticket_of_its_kind(results) -> None:
    others = [
        run
        for method in ("scratch", "scratch_long", "lth", "lth_long", "lth_iter", "rigl")
        for run in seeds(method, 0.98, 0.9, 0.91)
    ]
    verdicts = judge(results(RST, seeds("rst_iter", 0.98, 0.96, 0.95), others, seeds("dense", 0.0, 0.99)))
    controls = ["scratch", "scratch_long"]
    assert {verdict.method: [comparison.against for comparison in verdict.comparisons] for verdict in verdicts} == {
        "rst": [*controls, "lth", "lth_long", "lth_iter"],
        "rst_iter": [*controls, "lth_iter"],
    }
    for verdict in verdicts:
        assert list(verdict.others) == [comparison.against for comparison in verdict.comparisons]


def test_tickets_are_compared_sparsity_by_sparsity(results) -> None:
    verdicts = judge(
        results(
            *(seeds("rst", s, 0.9, 0.91) for s in (0.9, 0.98)),
            seeds("lth", 0.9, 0.9, 0.91),
            seeds("lth_iter", 0.98, 0.9, 0.91),
        )
    )
    assert [(v.sparsity, v.comparisons[0].against) for v in verdicts] == [(0.9, "lth"), (0.98, "lth_iter")]


def test_a_ticket_of_another_kind_does_not_stand_in_for_the_counterpart(results) -> None:
    (verdict,) = judge(results(seeds("rst_iter", 0.98, 0.96, 0.95), seeds("lth", 0.98, 0.9, 0.9)))
    assert verdict.comparisons == ()


def test_each_method_has_its_cost_and_its_seeds_at_chance(results) -> None:
    frame = results(RST, seeds("scratch", 0.98, 0.11, 0.9, 0.1), seeds("lth", 0.98, 0.95, 0.96))
    frame.loc[frame["method"] == "scratch", "images_seen"] = [100, 200, 600]
    (verdict,) = judge(frame, test_images=500, classes=10)
    assert verdict.runs == Runs(3, 6400.0, ())
    assert verdict.others == {"scratch": Runs(3, 300.0, (0, 2)), "lth": Runs(2, 6400.0, ())}
    numbers = verdict_json((verdict,), 0.5, 500)["verdicts"][0]
    assert (numbers["images_seen"], numbers["seeds_at_chance"]) == (6400.0, ())
    scratch, lth = numbers["comparisons"]
    assert (scratch["question"], scratch["images_seen_against"], scratch["seeds_at_chance_against"]) == (
        "control",
        300.0,
        (0, 2),
    )
    assert lth["question"] == "like with like" and lth["role"] == "winning ticket"
    (unknown,) = judge(frame, test_images=500)
    assert unknown.others["scratch"].at_chance is None
    assert unknown.comparisons == verdict.comparisons  # seeds at chance are named, and left in


def test_costs_are_those_of_the_seeds_that_are_compared(results) -> None:
    lth = [("lth", 0.98, 1, 0.955), ("lth", 0.98, 2, 0.965), ("lth", 0.98, 7, 0.1)]
    frame = results(RST, lth, [("lth_iter", 0.98, 9, 0.9)])
    frame["images_seen"] = frame["seed"].map({0: 900, 1: 100, 2: 300, 7: 5000, 9: 70})
    (verdict,) = judge(frame)
    assert (verdict.own_images("lth"), verdict.others["lth"].images_seen) == (200.0, 200.0)  # seeds 1 and 2
    assert verdict.own_images("lth_iter") == verdict.runs.images_seen == pytest.approx(1300 / 3)  # no seed is shared
    numbers = verdict_json((verdict,), 0.5, None)["verdicts"][0]
    assert [(entry["images_seen"], entry["images_seen_against"]) for entry in numbers["comparisons"]] == [
        (200.0, 200.0),
        (pytest.approx(1300 / 3), 70.0),
    ]


def test_accuracies_are_compared_in_points_over_shared_seeds(results) -> None:
    (verdict,) = judge(results(RST, [("lth", 0.98, 1, 0.955), ("lth", 0.98, 2, 0.965), ("lth", 0.98, 7, 0.1)]))
    (comparison,) = verdict.comparisons
    assert comparison.seeds == (1, 2) and comparison.difference.mean == pytest.approx(0.75)  # 1.0 and 0.5
    assert verdict.accuracy == pytest.approx(0.965)


def test_a_sweep_without_the_method_or_without_anything_to_compare_it_with(results) -> None:
    frame = results(RST, seeds("lth", 0.9, 0.9))
    assert judge(frame[frame["method"] == "lth"]) == ()
    assert judge(frame) == (Verdict("rst", 0.98, pytest.approx(0.965), (), Runs(3, 6400.0), {}),)


@pytest.mark.parametrize("margin", [0, -1, math.nan, math.inf, 100.5])
def test_an_invalid_margin_is_refused(margin: float, results) -> None:
    with pytest.raises(BadInput, match=r"^margin=.*: must be above 0 and at most 100"):
        judge(results(RST), margin)
    assert check_margin(100) == 100


def test_json_holds_the_numbers_and_no_nan(results) -> None:
    verdicts = judge(
        results(RST, seeds("scratch", 0.98, 0.9, 0.9, 0.92), [("lth", 0.98, 9, 0.96)]), 1.0, test_images=500
    )
    document = json.loads(json.dumps(verdict_json(verdicts, 1.0, 500), allow_nan=False))
    assert (document["margin_points"], document["one_image_points"], document["corrected_for_multiplicity"]) == (
        1.0,
        0.2,
        False,
    )
    (verdict,) = document["verdicts"]
    scratch, lth = verdict["comparisons"]
    assert scratch["difference_points"] == pytest.approx(35 / 6) and scratch["seeds"] == [0, 1, 2] and scratch["paired"]
    assert (
        scratch["interval_95"][0] < scratch["interval_90"][0] < scratch["difference_points"] < scratch["interval_90"][1]
    )
    assert (lth["outcome"], lth["interval_95"], lth["spread_points"], lth["more_seeds"]) == (
        "no test",
        [None, None],
        None,
        None,
    )
    assert verdict["binomial_error_points"] == pytest.approx(100 * math.sqrt(0.965 * 0.035 / 500))


def test_without_a_size_of_the_test_set_nothing_is_said_of_it(results) -> None:
    document = verdict_json(judge(results(RST, seeds("lth", 0.98, 0.96, 0.95))), 0.5, None)
    assert (
        document["test_images"]
        is document["one_image_points"]
        is document["verdicts"][0]["binomial_error_points"]
        is None
    )


def test_the_binomial_error_is_that_of_half_right_on_a_hundred_images() -> None:
    assert binomial_error(0.5, 100) == pytest.approx(5.0) and binomial_error(1.0, 100) == 0
