"""Curves of a sweep: medians over seeds after every epoch, around the removal, and what is not in the plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from dlth_tf.analysis.plotting.looks import looks_of
from dlth_tf.analysis.plotting.training_curves import Curve, Curves, draw_curves, over_training, read_curves
from dlth_tf.analysis.report import write_report
from dlth_tf.analysis.results import read_results
from dlth_tf.measures import ACCURACY
from tests.analysis.conftest import seeds

HEADER = "phase,step,penalty,sparsity,val_accuracy,test_accuracy"
RUNS = [("dense", 0.0, 0, 0.95), *seeds("rst", 0.5, 0.93), *seeds("rst", 0.9, 0.91, 0.92, 0.88)]


def add_history(run_dir: Path, accuracies: Sequence[float], removed_after: int | None = 2) -> None:
    """Writes a history, and the accuracies around the removal: .1 below the epoch before it, then .2."""
    rows = [
        f"{'train' if removed_after is None or epoch < removed_after else 'finetune'},{epoch + 1},0,"
        f"{0 if removed_after is None or epoch < removed_after else 0.9},,{accuracy}"
        for epoch, accuracy in enumerate(accuracies)
    ]
    (run_dir / "history.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    if removed_after is not None:
        result = json.loads((run_dir / "result.json").read_text())
        before = accuracies[removed_after - 1]
        result["test"] |= {"accuracy_before_removal": before, "accuracy_after_removal": round(before - 0.2, 6)}
        (run_dir / "result.json").write_text(json.dumps(result))


@pytest.fixture
def root(write_sweep) -> Path:
    root = write_sweep(RUNS)
    add_history(root / "dense-0-s0", [0.8, 0.95], removed_after=None)
    for seed, last in enumerate((0.91, 0.92, 0.88)):
        add_history(root / f"rst-0.9-s{seed}", [0.5, 0.7 + 0.05 * seed, last])
    return root


def curves(root: Path) -> Curves:
    return read_curves(root, read_results(root))


def test_a_curve_is_the_median_over_seeds_at_the_highest_sparsity(root):
    found = curves(root)
    assert found.sparsity == 0.9 and found.left_out == ()
    dense, rst = found.curves
    assert (dense.method, dense.removal) == ("dense", None) and np.allclose(dense.values, [80, 95])
    assert rst.method == "rst" and np.allclose(rst.values, [50, 75, 91])
    assert rst.removal is not None and np.allclose(rst.removal, (2, 75, 55))


def test_epochs_that_were_not_evaluated_have_their_place_on_the_axis(root):
    header = HEADER.replace("phase,", "phase,epoch,")
    (root / "dense-0-s0" / "history.csv").write_text(f"{header}\ntrain,20,20,0,0,,.8\ntrain,40,40,0,0,,.95\n")
    for seed in range(3):
        rows = ["transform,10,10,1,0,,.5", "transform,12,12,1,0,,.6", "finetune,15,15,0,.9,,.9"]
        (root / f"rst-0.9-s{seed}" / "history.csv").write_text("\n".join([header, *rows]))
    found = curves(root)
    axes = Figure().add_subplot()
    draw_curves(axes, found, ACCURACY)
    assert [list(line.get_xdata()) for line in axes.get_lines()[:2]] == [[20, 40], [10, 12, 27]]
    assert found.curves[1].removal is not None and found.curves[1].removal[0] == 12
    write_report(root)
    page = (root / "report.html").read_text()
    assert "dense: 95.0 % after 40; rst: 90.0 % after 27 epochs." in page
    assert "Test accuracy after every evaluated epoch" in page


@pytest.mark.parametrize("damage", ["missing", "garbage", "short"])
def test_a_run_without_a_whole_history_is_left_out_and_named(root, damage):
    path = root / "rst-0.9-s1" / "history.csv"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text("garbage" if damage == "garbage" else "\n".join(path.read_text().split("\n")[:3]))
    found = curves(root)
    assert found.left_out == ("rst-0.9-s1",) and np.allclose(found.curves[1].values[1], 75)
    write_report(root)
    assert "Not in the plot, for want of a whole history.csv: rst-0.9-s1." in (root / "report.html").read_text()


def test_a_method_without_any_history_has_no_curve(root):
    (root / "dense-0-s0" / "history.csv").unlink()
    assert [curve.method for curve in curves(root).curves] == ["rst"]


def test_the_marks_at_a_removal_are_hollow_before_and_filled_after(root):
    axes = Figure().add_subplot()
    draw_curves(axes, curves(root), ACCURACY)
    dense, rst, before, after = axes.get_lines()
    assert [len(line.get_xdata()) for line in (dense, rst)] == [2, 3]
    assert (*before.get_xdata(), *before.get_ydata()) == pytest.approx((2, 75))
    assert (*after.get_xdata(), *after.get_ydata()) == pytest.approx((2, 55))
    assert before.get_markerfacecolor() == "white" and after.get_markerfacecolor() == rst.get_color()


def test_the_picture_is_on_the_page_and_a_report_made_again_removes_it_with_the_histories(root):
    assert over_training(curves(root), read_results(root)).startswith(b"\x89PNG")
    write_report(root)
    assert "medians over seeds, with 90 % of the weights removed" in (root / "report.html").read_text()
    for path in root.glob("*/history.csv"):
        path.unlink()
    write_report(root)
    assert not (root / "accuracy_over_training.png").exists()
    assert "hollow mark" not in (root / "report.html").read_text()


def test_methods_of_one_color_are_told_apart_by_dashes_and_by_the_mark_at_the_end():
    looks = looks_of(["rst", "rst_iter"])
    assert looks["rst"][0] == looks["rst_iter"][0], "these share a color"
    drawn = tuple(
        Curve(name, np.array([1, 2]), np.array([50.0, 60.0 + place]), None) for place, name in enumerate(looks)
    )
    axes = Figure().add_subplot()
    draw_curves(axes, Curves(0.9, drawn, ()), ACCURACY)
    first, second = axes.get_lines()
    assert (first.get_linestyle(), second.get_linestyle()) == ("-", "--")
    assert first.get_marker() != second.get_marker() and first.get_markevery() == [-1]
