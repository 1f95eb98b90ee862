"""Plots of a sweep, drawn without a display and without the global state of pyplot."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from dlth_tf.analysis.plotting.figures import STYLE, WIDTH, add_legend, png
from dlth_tf.analysis.plotting.looks import looks_of
from dlth_tf.analysis.plotting.scales import label_sparsities, measure_axis, plain_log_ticks, sparsity_position
from dlth_tf.analysis.results import headline, measure_of

COSTS = {
    "images_seen": "examples seen in training",
    "training_macs_theoretical": "multiply-adds of training, if a removed weight cost nothing",
}


def picture_names(results: pd.DataFrame) -> tuple[str, str, str]:
    """Returns the file names of the plots against sparsity, cost and training, after the measure of the results."""
    name = measure_of(results).name
    return f"{name}_vs_sparsity.png", f"{name}_vs_cost.png", f"{name}_over_training.png"


def _label(results: pd.DataFrame) -> str:
    measure = measure_of(results)
    return f"test {measure.short}" + ("" if measure.higher_is_better else " (lower is better)")


def accuracy_vs_sparsity(results: pd.DataFrame) -> bytes:
    """Plots test accuracy or error against sparsity: a faint dot per seed, a line per method through its medians.

    With medians, and an axis on the logarithm of the error, a single seed at chance level neither moves the line of its
    method nor compresses the others. A method that removes nothing is a dashed horizontal line.

    Args:
      results: Table returned by `read_results`.

    Returns:
      The plot as a PNG.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        axes = figure.add_subplot()
        draw_sparsity(axes, results)
        axes.set_title(_title(results), wrap=True)
        axes.set_xlabel("weights removed")
        axes.set_ylabel(_label(results))
        axes.grid(axis="y", color="0.92")
        add_legend(figure, *legend(axes, results))
        return png(figure)


def accuracy_vs_cost(results: pd.DataFrame) -> bytes:
    """Plots test accuracy, or error, against two costs on logarithmic axes, with larger marks at higher sparsity.

    Marks are medians over seeds, at the exact cost; a bar spans the seeds.

    Args:
      results: Table returned by `read_results`.

    Returns:
      The plot as a PNG.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 6.6), layout="constrained")
        panels = figure.subplots(len(COSTS), 1)
        for axes, (column, label) in zip(panels, COSTS.items(), strict=True):
            draw_cost(axes, results, column)
            axes.set_xlabel(label)
            axes.set_ylabel(_label(results))
            axes.grid(color="0.92")
        sizes = "; the larger, the more is removed" if results["sparsity"].nunique() > 1 else ""
        seeds = " (marks: medians, bars: all seeds)" if results["seed"].nunique() > 1 else ""
        panels[0].set_title(f"{', '.join(headline(results))}{seeds}{sizes}", wrap=True)
        add_legend(figure, *legend(panels[0], results))
        return png(figure)


def medians(results: pd.DataFrame) -> pd.DataFrame:
    """Computes the values of the plots.

    Args:
      results: Table returned by `read_results`.

    Returns:
      Columns method, sparsity, value, least and most (median, smallest and largest over seeds, in percent or as it is)
      and those of `COSTS` (means over seeds), in the order of `results`.
    """
    measure = measure_of(results)
    groups = results.groupby(["method", "sparsity"], sort=False)
    values = {
        name: measure.shown(groups[f"test_{measure.name}_last"].agg(how))
        for name, how in (("value", "median"), ("least", "min"), ("most", "max"))
    }
    return groups[list(COSTS)].mean().assign(**values).reset_index()


def _values(results: pd.DataFrame) -> pd.Series:
    measure = measure_of(results)
    return measure.shown(results[f"test_{measure.name}_last"])


def draw_sparsity(axes: Axes, results: pd.DataFrame) -> None:
    """Draws the lines, dots and axes of `accuracy_vs_sparsity`."""
    looks = looks_of(results["method"].unique())
    cells = medians(results)
    lines = list(cells.loc[cells["sparsity"] > 0, "method"].unique())
    for reference in cells.loc[~cells["method"].isin(lines)].itertuples():
        axes.axhline(
            reference.value,
            label=reference.method,
            color=looks[reference.method][0],
            linestyle=(0, (5, 3)),
            linewidth=1.2,
        )
    sparsities = np.unique(cells.loc[cells["method"].isin(lines), "sparsity"])
    gap = np.diff(sparsity_position(sparsities)).min(initial=0.3)
    for place, method in enumerate(lines):
        # Seeds of different methods at one sparsity are drawn side by side: overlapping dots are unreadable.
        shift = 0.35 * gap * ((place + 0.5) / len(lines) - 0.5)
        _draw_line(axes, cells[cells["method"] == method], results[results["method"] == method], shift, looks[method])
    label_sparsities(axes, sparsities)
    axes.margins(x=0.06)
    if len(sparsities) == 1:  # else the axis would end at the first and the last method
        (place,) = sparsity_position(sparsities)
        axes.set_xlim(place - gap, place + gap)
    measure_axis(axes, _values(results).to_numpy(), measure_of(results))


def draw_cost(axes: Axes, results: pd.DataFrame, column: str) -> None:
    """Draws one panel of `accuracy_vs_cost`, with a line through the sparsities of each method in ascending order.

    Args:
      axes: Axes to draw on.
      results: Table returned by `read_results`.
      column: Cost on the x axis, a key of `COSTS`.
    """
    looks = looks_of(results["method"].unique())
    cells = medians(results)
    cells = cells[cells[column] > 0]  # the axis is logarithmic
    levels = sorted(results["sparsity"].unique())
    for method, points in cells.groupby("method", sort=False):
        color, marker = looks[method]
        axes.plot(points[column], points["value"], color=color, linewidth=1, alpha=0.6)
        for point in points.to_dict("records"):
            axes.plot([point[column]] * 2, [point["least"], point["most"]], color=color, linewidth=2.5, alpha=0.3)
        sizes = [22 + 60 * levels.index(sparsity) / max(1, len(levels) - 1) for sparsity in points["sparsity"]]
        axes.scatter(points[column], points["value"], s=sizes, color=color, marker=marker, alpha=0.85, linewidths=0)
        axes.plot([], [], color=color, marker=marker, markersize=5.5, linewidth=1, label=method)
    _cost_axis(axes, cells[column])
    measure_axis(axes, _values(results).to_numpy(), measure_of(results))


def legend(axes: Axes, results: pd.DataFrame) -> tuple[list[Any], list[str]]:
    """Returns handles and labels in the order in which the lines end at the right, from top to bottom."""
    ends = medians(results).sort_values("sparsity").groupby("method")["value"].last()
    pairs = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda pair: -ends[pair[1]])
    return [handle for handle, _ in pairs], [textwrap.fill(label, 24) for _, label in pairs]


def _draw_line(axes: Axes, cells: pd.DataFrame, runs: pd.DataFrame, shift: float, look: tuple[str, str]) -> None:
    color, marker = look
    x = sparsity_position(cells["sparsity"]) + shift
    axes.plot(
        x, cells["value"], label=runs["method"].iloc[0], color=color, marker=marker, linewidth=1.4, markersize=5.5
    )
    seeds = sparsity_position(runs["sparsity"]) + shift, _values(runs)
    axes.scatter(*seeds, color=color, s=14, alpha=0.4, linewidths=0, zorder=3)


def _cost_axis(axes: Axes, values: pd.Series) -> None:
    """Sets a logarithmic axis with a margin at both ends that spans a factor of four or more."""
    low, high = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    room = max(2.0, (high / low) ** 0.06)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    plain_log_ticks(axes.xaxis, low, high, EngFormatter())


def has_lines(results: pd.DataFrame) -> bool:
    """Returns whether a method has runs at several sparsities, so that a line connects its medians."""
    removing = results[results["sparsity"] > 0]
    return bool((removing.groupby("method")["sparsity"].nunique() > 1).any())


def _title(results: pd.DataFrame) -> str:
    dataset, model, seeds = headline(results)
    medians = "lines" if has_lines(results) else "marks"
    return f"{dataset}, {model}, {seeds}" + ("" if seeds == "1 seed" else f" (dots: seeds, {medians}: medians)")
