"""Plots of a sweep."""

from __future__ import annotations

import io
import warnings

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlth_tf.analysis.plotting import figures, plots
from dlth_tf.analysis.plotting.looks import looks_of
from dlth_tf.analysis.plotting.plots import accuracy_vs_cost, accuracy_vs_sparsity
from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.roles import DRAWN, opponents
from dlth_tf.methods import METHODS
from tests.analysis.conftest import Run, WriteSweep, seeds

SPARSITIES = (0.9, 0.95, 0.98, 0.99)
DENSE = seeds("dense", 0.0, 0.98, 0.981)
SWEEPS: dict[str, list[Run]] = {
    "usual": DENSE
    + [run for method in ("scratch", "rst") for s in SPARSITIES for run in seeds(method, s, 1 - s / 9, 1 - s / 8)],
    "only dense": DENSE,
    "one sparsity, one seed": seeds("rst", 0.9, 0.97),
    "nothing right, and everything": seeds("rst", 0.9, 0.0, 1.0),
    "everything right": seeds("rst", 0.9, 1.0, 1.0),
    "low to high": [("rst", s, 0, 1 - s / 2) for s in (0.0, 0.1, 0.2, 0.3, 0.5, 0.9, 0.99, 0.999)],
    "fifteen methods": [(f"method_{i}", s, 0, 0.9 - i / 40) for i in range(15) for s in SPARSITIES],
    "long names": seeds("package_of_mine.module_of_mine:a_function_with_a_long_name$_$", 0.9, 0.97),
}
PICTURES = {"sparsity": (accuracy_vs_sparsity, 768), "cost": (accuracy_vs_cost, 1267)}


@pytest.mark.fast_cases(
    "sparsity-only dense",
    "sparsity-nothing right, and everything",
    "sparsity-long names",
    "cost-usual",
    "cost-fifteen methods",
)
@pytest.mark.slow_cases("sparsity-*")
@pytest.mark.parametrize("runs", SWEEPS.values(), ids=SWEEPS)
@pytest.mark.parametrize(("draw", "height"), PICTURES.values(), ids=PICTURES)
def test_any_sweep_gives_a_picture_of_sane_size_with_something_on_it(
    write_sweep: WriteSweep, runs: list[Run], draw, height: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where a layout does not fit
        png = draw(_results(write_sweep, runs))
    pixels = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    assert pixels.shape[1:] == (1152, 3) and height <= pixels.shape[0] < 1.4 * height
    assert 5_000 < len(png) < 200_000
    assert 0.005 < (pixels < 0.9).any(axis=2).mean() < 0.2


def test_a_run_without_cost_is_left_out_of_the_picture_of_cost(write_sweep: WriteSweep) -> None:
    results = _results(write_sweep, DENSE)
    axes = Figure().add_subplot()
    plots.draw_cost(axes, results.assign(images_seen=0), "images_seen")
    assert len(axes.collections) == 0
    plots.draw_cost(axes, results, "images_seen")
    assert len(axes.collections) == 1


@pytest.mark.parametrize("draw", [accuracy_vs_sparsity, accuracy_vs_cost])
def test_the_same_results_give_the_same_bytes(write_sweep: WriteSweep, draw) -> None:
    results = _results(write_sweep, SWEEPS["one sparsity, one seed"])
    assert draw(results) == draw(results)


def test_lines_are_medians_and_dense_is_a_dashed_horizontal_line(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, DENSE + seeds("rst", 0.9, 0.96, 0.98, 0.1) + seeds("rst", 0.99, 0.9, 0.94))
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["rst"].get_ydata() == pytest.approx([96, 92])
    assert (
        lines["dense"].get_ydata() == pytest.approx([98.05, 98.05])
        and lines["dense"].is_dashed()
        and not lines["rst"].is_dashed()
    )


def test_every_seed_is_a_dot(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, DENSE + seeds("rst", 0.9, 0.96, 0.98))
    dots = axes.collections[-1].get_offsets()
    assert list(dots[:, 1]) == pytest.approx([96, 98])
    assert list(dots[:, 0]) == pytest.approx([1, 1])  # 90 % removed: one in 10^1 is kept


def test_a_collapsed_seed_is_on_the_picture_and_leaves_most_of_it_to_the_others(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, [*seeds("scratch", 0.9, 0.1, 0.95), *seeds("rst", 0.9, 0.98, 0.97)])
    low, worst, best = (_height(axes, value) for value in (10, 95, 98))
    assert 0 < low < 0.1, "it is drawn at the bottom"
    assert best - worst > 0.2, "on an axis from 0 to 100 these are 0.03 apart"


def test_a_mark_is_at_the_cost_of_its_method_and_larger_at_higher_sparsity(write_sweep: WriteSweep) -> None:
    results = _results(write_sweep, [*seeds("rst", 0.9, 0.96), *seeds("rst", 0.99, 0.9)]).assign(
        images_seen=[1000, 3000]
    )
    axes = Figure().add_subplot()
    plots.draw_cost(axes, results, "images_seen")
    (marks,) = axes.collections
    assert marks.get_offsets().tolist() == [[1000, pytest.approx(96)], [3000, pytest.approx(90)]]
    assert marks.get_sizes()[1] > 2 * marks.get_sizes()[0] and axes.get_xscale() == "log"


def test_marks_are_medians_at_the_exact_cost_with_bars_over_the_seeds(write_sweep: WriteSweep) -> None:
    results = _results(write_sweep, [*seeds("rst", 0.9, 0.9, 0.96, 0.97), *seeds("lth", 0.9, 0.95, 0.95, 0.95)])
    axes = Figure().add_subplot()
    plots.draw_cost(axes, results.assign(images_seen=1000), "images_seen")
    lth, rst = sorted(tuple(marks.get_offsets()[0].tolist()) for marks in axes.collections)
    assert lth == (1000, pytest.approx(95)) and rst == (1000, pytest.approx(96)), "equal costs are drawn as equal"
    bars = [line.get_xydata().tolist() for line in axes.get_lines() if len(line.get_xydata()) == 2]
    assert [[1000, pytest.approx(90)], [1000, pytest.approx(97)]] in bars


def test_the_legend_lists_methods_as_their_lines_end(write_sweep: WriteSweep) -> None:
    crossing = [("rst", 0.9, 0, 0.9), ("rst", 0.99, 0, 0.8), ("lth", 0.9, 0, 0.95), ("lth", 0.99, 0, 0.7)]
    results = _results(write_sweep, DENSE + crossing)
    axes = Figure().add_subplot()
    plots.draw_sparsity(axes, results)
    assert plots.legend(axes, results)[1] == ["dense", "rst", "lth"]


@pytest.mark.parametrize("runs", [SWEEPS["usual"], SWEEPS["fifteen methods"], SWEEPS["long names"]])
def test_the_legend_is_no_wider_than_the_picture(write_sweep: WriteSweep, runs: list[Run]) -> None:
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(figures.WIDTH, 4))
        axes, results = figure.add_subplot(), _results(write_sweep, runs)
        plots.draw_sparsity(axes, results)
        figures.add_legend(figure, *plots.legend(axes, results))
        figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().width <= figure.bbox.width
    assert figure.bbox.height - figure.legends[0].get_window_extent().height > 0.9 * 4 * figure.dpi, (
        "the plot keeps its height"
    )


def test_labels_of_close_sparsities_give_way_and_the_highest_stays(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, SWEEPS["low to high"])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0 %", "", "", "", "50 %", "90 %", "99 %", "99.9 %"]


def test_labels_with_room_all_stay(write_sweep: WriteSweep) -> None:
    assert [label.get_text() for label in _drawn(write_sweep, SWEEPS["usual"]).get_xticklabels()] == [
        "90 %",
        "95 %",
        "98 %",
        "99 %",
    ]


def test_methods_all_look_different_and_the_same_in_both_pictures(write_sweep: WriteSweep) -> None:
    results = _results(write_sweep, SWEEPS["fifteen methods"])
    looks = []
    for draw in (plots.draw_sparsity, lambda axes, runs: plots.draw_cost(axes, runs, "images_seen")):
        axes = Figure().add_subplot()
        draw(axes, results)
        named = [line for line in axes.get_lines() if line.get_label().startswith("method_")]
        looks.append({line.get_label(): (line.get_color(), line.get_marker()) for line in named})
    assert looks[0] == looks[1] and len(set(looks[0].values())) == 15


def test_a_method_looks_the_same_in_every_sweep_and_like_no_other(write_sweep: WriteSweep) -> None:
    everything = looks_of([*METHODS.names(), "mine:method", "yours:method"])
    assert len(set(everything.values())) == len(everything) and set(DRAWN) == set(METHODS.names())
    assert looks_of(["rst", "scratch"]) == {name: everything[name] for name in ("rst", "scratch")}
    assert len({color for color, _ in looks_of(["dense", *opponents("rst"), "rst"]).values()}) == 7
    assert looks_of(["mine:method", "rst"])["mine:method"] not in (everything["rst"], everything["dense"])


def test_methods_at_one_sparsity_stand_close_together_on_an_axis_with_room(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, [*seeds("scratch", 0.9, 0.95, 0.96), *seeds("rst", 0.9, 0.97, 0.98)])
    low, high = axes.get_xlim()
    places = [float(line.get_xdata()[0]) for line in axes.get_lines()]
    assert low < min(places) < 1 < max(places) < high and max(places) - min(places) < 0.2 * (high - low)


@pytest.mark.parametrize(("sparsities", "words"), [((0.9,), "marks: medians"), ((0.9, 0.99), "lines: medians")])
def test_lines_are_only_spoken_of_where_there_are_some(write_sweep: WriteSweep, sparsities, words) -> None:
    results = _results(write_sweep, [run for sparsity in sparsities for run in seeds("rst", sparsity, 0.97, 0.98)])
    assert words in plots._title(results) and plots.has_lines(results) == (len(sparsities) > 1)


def test_the_reader_s_own_matplotlib_settings_are_left_alone(write_sweep: WriteSweep) -> None:
    before = dict(matplotlib.rcParams)
    accuracy_vs_sparsity(_results(write_sweep, DENSE))
    assert dict(matplotlib.rcParams) == before


def _results(write_sweep: WriteSweep, runs: list[Run]) -> pd.DataFrame:
    # Not every method's name is a valid directory name.
    names = {f"m{index:02}": method for index, method in enumerate(dict.fromkeys(method for method, *_ in runs))}
    codes = {method: code for code, method in names.items()}
    results = read_results(write_sweep([(codes[method], *rest) for method, *rest in runs]))
    return results.assign(method=results["method"].map(names))


def _drawn(write_sweep: WriteSweep, runs: list[Run]) -> Axes:
    axes = Figure().add_subplot()
    plots.draw_sparsity(axes, _results(write_sweep, runs))
    return axes


def _height(axes: Axes, accuracy: float) -> float:
    """Returns the position of an accuracy on the axis, 0 at the bottom and 1 at the top."""
    _, y = axes.transAxes.inverted().transform(axes.transData.transform(np.array([0, accuracy])))
    return float(y)
