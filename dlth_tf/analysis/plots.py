"""Pictures of a sweep, drawn without a display and without pyplot's global state."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from dlth_tf.analysis.figures import STYLE, WIDTH, add_legend, png
from dlth_tf.analysis.results import setting
from dlth_tf.analysis.scales import accuracy_axis, label_sparsities, plain_log_ticks, sparsity_position

# Okabe and Ito's palette for colour-blind readers, without its yellow (too pale on white); black comes first, for the reference
# line. Seven colours and nine markers have no common divisor, so the first 63 methods all look different.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
COSTS = {
    "images_seen": "images seen in training",
    "training_macs_theoretical": "multiply-adds of training, if a removed weight cost nothing",
}
_ACCURACY = "test accuracy, %"


def accuracy_vs_sparsity(results: pd.DataFrame) -> bytes:
    """Test accuracy against sparsity as a PNG: every seed a faint dot, one line per method through the medians.

    Medians and an axis by the logarithm of the error: one seed that stays at chance level neither drags the line of its method
    along nor squeezes the others together. A method that never removes anything is a dashed horizontal line.

    Args:
      results: what `read_results` gives.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        axes = figure.add_subplot()
        draw_sparsity(axes, results)
        axes.set_title(_title(results), wrap=True)
        axes.set_xlabel("weights removed")
        axes.set_ylabel(_ACCURACY)
        axes.grid(axis="y", color="0.92")
        add_legend(figure, *legend(axes, results))
        return png(figure)


def accuracy_vs_cost(results: pd.DataFrame) -> bytes:
    """Test accuracy against two costs, on logarithmic axes, as a PNG: a median per method and sparsity, larger where more is removed.

    Args:
      results: what `read_results` gives.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 6.6), layout="constrained")
        panels = figure.subplots(len(COSTS), 1)
        for axes, (column, label) in zip(panels, COSTS.items(), strict=True):
            draw_cost(axes, results, column)
            axes.set_xlabel(label)
            axes.set_ylabel(_ACCURACY)
            axes.grid(color="0.92")
        panels[0].set_title(f"{', '.join(setting(results))}; the larger, the more is removed", wrap=True)
        add_legend(figure, *legend(panels[0], results))
        return png(figure)


def medians(results: pd.DataFrame) -> pd.DataFrame:
    """Columns method, sparsity, accuracy (percent, median over seeds) and the costs (means over seeds), in the order of `results`."""
    groups = results.groupby(["method", "sparsity"], sort=False)
    return groups[list(COSTS)].mean().assign(accuracy=100 * groups["test_accuracy_last"].median()).reset_index()


def draw_sparsity(axes: Axes, results: pd.DataFrame) -> None:
    """Draws the lines, dots and both axes of `accuracy_vs_sparsity`."""
    looks, cells = _looks(results), medians(results)
    lines = list(cells.loc[cells["sparsity"] > 0, "method"].unique())
    for reference in cells.loc[~cells["method"].isin(lines)].itertuples():
        axes.axhline(
            reference.accuracy,
            label=reference.method,
            color=looks[reference.method][0],
            linestyle=(0, (5, 3)),
            linewidth=1.2,
        )
    sparsities = np.unique(cells.loc[cells["method"].isin(lines), "sparsity"])
    gap = np.diff(sparsity_position(sparsities)).min(initial=0.3)
    for place, method in enumerate(lines):
        # Seeds of different methods at one sparsity stand beside each other: on top of each other none can be read.
        shift = 0.35 * gap * ((place + 0.5) / len(lines) - 0.5)
        _draw_line(axes, cells[cells["method"] == method], results[results["method"] == method], shift, looks[method])
    label_sparsities(axes, sparsities)
    axes.margins(x=0.06)
    accuracy_axis(axes, 100 * results["test_accuracy_last"].to_numpy())


def draw_cost(axes: Axes, results: pd.DataFrame, column: str) -> None:
    """Draws one panel of `accuracy_vs_cost`: the lines of a method lead from its lowest sparsity to its highest."""
    looks, cells = _looks(results), medians(results)
    cells = cells[cells[column] > 0]  # a cost of nothing has no place on a logarithmic axis
    shifts = _beside_each_other(cells, column)
    levels = sorted(results["sparsity"].unique())
    for method, points in cells.groupby("method", sort=False):
        colour, marker = looks[method]
        x = points[column] * shifts[method]
        axes.plot(x, points["accuracy"], color=colour, linewidth=1, alpha=0.6)
        sizes = [22 + 60 * levels.index(sparsity) / max(1, len(levels) - 1) for sparsity in points["sparsity"]]
        axes.scatter(x, points["accuracy"], s=sizes, color=colour, marker=marker, alpha=0.85, linewidths=0)
        axes.plot([], [], color=colour, marker=marker, markersize=5.5, linewidth=1, label=method)
    _cost_axis(axes, cells[column])
    accuracy_axis(axes, medians(results)["accuracy"].to_numpy())


def legend(axes: Axes, results: pd.DataFrame) -> tuple[list[Any], list[str]]:
    """Handles and labels from top to bottom as the lines end at the right, which is where the eye compares them."""
    ends = medians(results).sort_values("sparsity").groupby("method")["accuracy"].last()
    pairs = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda pair: -ends[pair[1]])
    return [handle for handle, _ in pairs], [textwrap.fill(label, 24) for _, label in pairs]


def _draw_line(axes: Axes, cells: pd.DataFrame, runs: pd.DataFrame, shift: float, look: tuple[str, str]) -> None:
    colour, marker = look
    x = sparsity_position(cells["sparsity"]) + shift
    axes.plot(
        x, cells["accuracy"], label=runs["method"].iloc[0], color=colour, marker=marker, linewidth=1.4, markersize=5.5
    )
    seeds = sparsity_position(runs["sparsity"]) + shift, 100 * runs["test_accuracy_last"]
    axes.scatter(*seeds, color=colour, s=14, alpha=0.4, linewidths=0, zorder=3)


def _looks(results: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Method -> (colour, marker), the same in every picture; methods that remove nothing come first, and so are black."""
    highest = results.groupby("method", sort=False)["sparsity"].max()
    names = [*highest.index[highest == 0], *highest.index[highest > 0]]
    return dict(zip(names, zip(itertools.cycle(_COLOURS), itertools.cycle(_MARKERS)), strict=False))


def _beside_each_other(cells: pd.DataFrame, column: str) -> dict[str, float]:
    """Method -> the factor by which its marks are shifted, so that methods of the same cost do not cover each other; 1 if alone."""
    costs = np.log10(cells.groupby("method", sort=False)[column].mean())
    step = 0.018 * max(np.ptp(costs), 1.0) if len(costs) else 0.0
    groups = costs.groupby(costs.round(2))  # alike within 2 %
    return dict(10 ** (step * (groups.cumcount() - (groups.transform("size") - 1) / 2)))


def _cost_axis(axes: Axes, values: pd.Series) -> None:
    """Room at both ends, at least a factor of four in all, so that a single cost is not stretched to nonsense."""
    low, high = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    room = max(2.0, (high / low) ** 0.06)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    plain_log_ticks(axes.xaxis, low, high, EngFormatter())


def _title(results: pd.DataFrame) -> str:
    dataset, model, seeds = setting(results)
    return f"{dataset}, {model}, {seeds}" + ("" if seeds == "1 seed" else " (dots: seeds, lines: medians)")
