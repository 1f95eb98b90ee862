from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
import matplotlib.image
import pytest
from matplotlib.figure import Figure

from dlth_tf.analysis import plots
from dlth_tf.analysis.plots import accuracy_vs_sparsity
from dlth_tf.analysis.results import read_results
from tests.analysis.conftest import Run, WriteSweep, seeds

SPARSITIES = (0.9, 0.95, 0.98, 0.99)
DENSE = seeds("dense", 0.0, 0.98, 0.981)
SWEEPS: dict[str, list[Run]] = {
    "usual": DENSE + [run for method in ("scratch", "rst") for s in SPARSITIES for run in seeds(method, s, 1 - s / 9, 1 - s / 8)],
    "only dense": DENSE,
    "one sparsity, one seed": seeds("rst", 0.9, 0.97),
    "low to high": [("rst", s, 0, 1 - s / 2) for s in (0.0, 0.1, 0.2, 0.3, 0.5, 0.9, 0.99, 0.999)],
    "fifteen methods": [(f"method_{i}", s, 0, 0.9 - i / 40) for i in range(15) for s in SPARSITIES],
    "long names": seeds("package_of_mine.module_of_mine:a_function_with_a_long_name$_$", 0.9, 0.97),
}


@pytest.mark.parametrize("runs", SWEEPS.values(), ids=SWEEPS)
def test_any_sweep_gives_a_picture_of_sane_size_with_something_on_it(write_sweep: WriteSweep, tmp_path: Path, runs: list[Run]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where a layout does not fit
        accuracy_vs_sparsity(_results(write_sweep, runs), tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")[..., :3]
    assert pixels.shape == (672, 1152, 3)
    assert 5_000 < (tmp_path / "plot.png").stat().st_size < 200_000
    assert 0.005 < (pixels < 0.9).any(axis=2).mean() < 0.2


def test_the_same_results_give_the_same_bytes_and_nothing_else_is_left(write_sweep: WriteSweep, tmp_path: Path) -> None:
    results = _results(write_sweep, SWEEPS["usual"])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        accuracy_vs_sparsity(results, tmp_path / name / "plot.png")
    assert (tmp_path / "a" / "plot.png").read_bytes() == (tmp_path / "b" / "plot.png").read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["plot.png"]


def test_lines_are_means_and_dense_is_a_dashed_horizontal_line(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, DENSE + seeds("rst", 0.9, 0.96, 0.98) + seeds("rst", 0.99, 0.9, 0.94))
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["rst"].get_ydata() == pytest.approx([97, 92])
    assert lines["dense"].get_ydata() == pytest.approx([98.05, 98.05]) and lines["dense"].is_dashed() and not lines["rst"].is_dashed()


def test_every_seed_is_a_dot(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, DENSE + seeds("rst", 0.9, 0.96, 0.98))
    dots = axes.collections[-1].get_offsets()
    assert list(dots[:, 1]) == pytest.approx([96, 98])
    assert list(dots[:, 0]) == pytest.approx([1, 1])  # 90 % removed: one in 10^1 is kept


def test_the_legend_lists_methods_as_their_lines_end(write_sweep: WriteSweep) -> None:
    crossing = [("rst", 0.9, 0, 0.9), ("rst", 0.99, 0, 0.8), ("lth", 0.9, 0, 0.95), ("lth", 0.99, 0, 0.7)]
    results = _results(write_sweep, DENSE + crossing)
    axes = Figure().add_subplot()
    plots._draw(axes, results)
    assert plots._legend(axes, results)[1] == ["dense", "rst", "lth"]


def test_labels_of_close_sparsities_give_way_and_the_highest_stays(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, SWEEPS["low to high"])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0 %", "", "", "", "50 %", "90 %", "99 %", "99.9 %"]


def test_labels_with_room_all_stay(write_sweep: WriteSweep) -> None:
    assert [label.get_text() for label in _drawn(write_sweep, SWEEPS["usual"]).get_xticklabels()] == ["90 %", "95 %", "98 %", "99 %"]


def test_an_axis_shows_no_accuracy_that_cannot_be(write_sweep: WriteSweep) -> None:
    assert _drawn(write_sweep, seeds("rst", 0.9, 0.1, 1.0, 1.0)).get_ylim()[1] == 102  # the bar ends at 122


def test_fifteen_methods_all_look_different(write_sweep: WriteSweep) -> None:
    axes = _drawn(write_sweep, SWEEPS["fifteen methods"])
    looks = {(line.get_color(), line.get_marker()) for line in axes.get_lines() if line.get_label().startswith("method_")}
    assert len(looks) == 15


def test_the_reader_s_own_matplotlib_settings_are_left_alone(write_sweep: WriteSweep, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    accuracy_vs_sparsity(_results(write_sweep, DENSE), tmp_path / "plot.png")
    assert dict(matplotlib.rcParams) == before


def _results(write_sweep: WriteSweep, runs: list[Run]):
    # A method's name need not be a directory's.
    names = {f"m{index:02}": method for index, method in enumerate(dict.fromkeys(method for method, *_ in runs))}
    codes = {method: code for code, method in names.items()}
    results = read_results(write_sweep([(codes[method], *rest) for method, *rest in runs]))
    return results.assign(method=results["method"].map(names))


def _drawn(write_sweep: WriteSweep, runs: list[Run]):
    axes = Figure().add_subplot()
    plots._draw(axes, _results(write_sweep, runs))
    return axes
