"""Table of costs."""

from __future__ import annotations

import json

from dlth_tf.analysis.costs import amount, cost_rows, duration, header, notes
from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.tables import grid
from tests.analysis.conftest import WriteSweep, seeds


def test_every_cost_comes_with_its_accuracy(write_sweep: WriteSweep) -> None:
    results = read_results(write_sweep([*seeds("dense", 0.0, 0.98), *seeds("rst", 0.9, 0.96, 0.97)]))
    assert cost_rows(results) == [
        ("dense", "nothing", "98.0", "6,400", "1.50 M", "30.0 k", "2.5 s"),
        ("rst", "90 %", "96.5", "6,400", "1.50 M", "30.0 k", "2.5 s"),
    ]
    assert len(header(results)) == 7


def test_accuracy_is_rounded_as_in_the_other_table(write_sweep: WriteSweep) -> None:
    halves = (0.96, 0.964, 0.968, 0.966, 0.97, 0.966, 0.978, 0.968)  # mean: 96.75 %, or one float below it
    results = read_results(write_sweep(seeds("lth_iter", 0.98, *halves)))
    assert cost_rows(results)[0][2] == grid(results).rows[0][1][0][0].split(" ")[0]


def test_costs_are_means_over_seeds(write_sweep: WriteSweep) -> None:
    results = read_results(write_sweep(seeds("rst", 0.9, 0.96, 0.97))).assign(
        images_seen=[1000, 3000], wall_seconds=[60, 180]
    )
    assert cost_rows(results)[0][3] == "2,000" and cost_rows(results)[0][6] == "2.0 min"


def test_training_that_another_run_has_done_counts_in_the_time(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("lth", 0.9, 0.96))
    path = root / "lth-0.9-s0" / "result.json"
    result = json.loads(path.read_text())
    result["cost"]["reused"] = {"phase": "train", "images": 3200, "seconds": 4.0}
    path.write_text(json.dumps(result))
    assert cost_rows(read_results(root))[0][6] == "6.5 s"


def test_effective_sparsity_has_a_column_where_it_is_known(write_sweep: WriteSweep) -> None:
    root = write_sweep([*seeds("dense", 0.0, 0.98), *seeds("rst", 0.9, 0.96, 0.97), *seeds("lth", 0.9, 0.96)])
    for seed, effective in enumerate((0.91, 0.95)):
        path = root / f"rst-0.9-s{seed}" / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"effective_sparsity": effective}))
    results = read_results(root)
    assert header(results)[1:3] == ("removed", "removed, effectively") and "no path" in notes(results)
    assert {row[0]: row[1:3] for row in cost_rows(results)} == {
        "dense": ("nothing", "nothing"),
        "rst": ("90 %", "93.0 %"),
        "lth": ("90 %", "–"),
    }
    assert "no path" not in notes(results[results["method"] != "rst"])


def test_amounts_and_times_of_any_size_have_three_digits_and_a_unit() -> None:
    assert [amount(value) for value in (0, 999.4, 999.6, 99_960, 123_456_789, 9.9999e20)] == [
        "0",
        "999",
        "1.00 k",
        "100 k",
        "123 M",
        "1000 E",
    ]
    assert [duration(value) for value in (0, 119.9, 120, 7200, 172_800)] == [
        "0.0 s",
        "119.9 s",
        "2.0 min",
        "2.0 h",
        "2.0 d",
    ]
