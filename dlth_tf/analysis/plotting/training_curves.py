"""Accuracy, or error, through the training of a sweep's methods, with what each removal costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlth_tf.analysis.plotting.figures import STYLE, WIDTH, add_legend, png
from dlth_tf.analysis.plotting.looks import looks_of
from dlth_tf.analysis.plotting.scales import measure_axis
from dlth_tf.analysis.results import headline, measure_of
from dlth_tf.analysis.run_record import read_history, removals
from dlth_tf.analysis.tables import percent
from dlth_tf.errors import BadInput
from dlth_tf.measures import Measure


@dataclass(frozen=True)
class Curve:
    """Training of one method at one sparsity, medians over its seeds.

    Attributes:
      method: Name of the method.
      epochs: Numbers of the evaluated epochs, counted over all phases.
      values: Test accuracy in percent, or error, after each of these epochs.
      removal: Number of epochs before the last removal between two phases, and the values before and after it; None if
        there is none, or they were not evaluated.
    """

    method: str
    epochs: np.ndarray
    values: np.ndarray
    removal: tuple[int, float, float] | None


@dataclass(frozen=True)
class Curves:
    """Training of all methods at one sparsity.

    Attributes:
      sparsity: Fraction of the weights that is removed; methods that remove nothing are shown too.
      curves: One per method, in the order of the results.
      left_out: Directories of runs whose history cannot be read, or is shorter than those of the other seeds.
    """

    sparsity: float
    curves: tuple[Curve, ...]
    left_out: tuple[str, ...]


def read_curves(root: Path, results: pd.DataFrame) -> Curves:
    """Reads the histories of the runs at the highest sparsity, and of those that remove nothing.

    Args:
      root: Directory of the sweep.
      results: Table returned by `read_results`.
    """
    measure = measure_of(results)
    sparsity = float(results["sparsity"].max())
    curves: list[Curve] = []
    left_out: list[str] = []
    for method, runs in results[results["sparsity"].isin((0.0, sparsity))].groupby("method", sort=False):
        rows = runs.to_dict("records")
        histories = [_history(root / run["run_dir"], measure) for run in rows]
        length = max(map(len, histories))
        complete = [(run, history) for run, history in zip(rows, histories, strict=True) if len(history) == length > 0]
        left_out += [
            run["run_dir"] for run, history in zip(rows, histories, strict=True) if len(history) < length or not length
        ]
        if complete:
            curves.append(_curve(str(method), complete, measure))
    return Curves(sparsity, tuple(curves), tuple(left_out))


def _history(run_dir: Path, measure: Measure) -> pd.DataFrame:
    """Returns the history of a run; an empty one if it cannot be read."""
    try:
        return read_history(run_dir, measure)
    except BadInput:
        return pd.DataFrame()


def _curve(method: str, runs: Sequence[tuple[Mapping[str, Any], pd.DataFrame]], measure: Measure) -> Curve:
    values = np.median([measure.shown(history[f"test_{measure.name}"]) for _, history in runs], axis=0)
    first = runs[0][1]
    epochs = first["total_epoch"].to_numpy()
    jumps = np.flatnonzero(removals(first))
    around = [
        np.median([measure.shown(run[f"{measure.name}_{when}_removal"]) for run, _ in runs])
        for when in ("before", "after")
    ]
    removal = None
    if len(jumps) and not np.isnan(around).any():
        removal = (int(epochs[jumps[-1]]), float(around[0]), float(around[1]))
    return Curve(method, epochs, values, removal)


def draw_curves(axes: Axes, curves: Curves, measure: Measure) -> None:
    """Draws a line per method with its mark at the end, and at its removal a hollow mark before and a filled one after.

    Of several methods of one color, all but the first are dashed.
    """
    looks = looks_of(curve.method for curve in curves.curves)
    drawn: list[Any] = []
    colors: set[str] = set()
    for curve in curves.curves:
        color, marker = looks[curve.method]
        dashes = (0, (4, 2)) if color in colors else "-"
        colors.add(color)
        mark: dict[str, Any] = {"marker": marker, "markersize": 4, "markevery": [-1]}
        axes.plot(curve.epochs, curve.values, color=color, linewidth=1.2, linestyle=dashes, label=curve.method, **mark)
        drawn.append(curve.values[~np.isnan(curve.values)])
        if curve.removal is not None:
            epoch, *around = curve.removal
            for value, face in zip(around, ("white", color), strict=True):
                axes.plot(epoch, value, marker, color=color, markerfacecolor=face, zorder=4, clip_on=False)
            drawn.append(np.array(around))
    values = np.concatenate(drawn) if drawn else np.array([])
    measure_axis(axes, values if len(values) else np.array([0.0, 100.0]), measure)


def over_training(curves: Curves, results: pd.DataFrame) -> bytes:
    """Plots `Curves` as a PNG.

    Args:
      curves: The curves, at least one.
      results: Table returned by `read_results` that they belong to.
    """
    measure = measure_of(results)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        axes = figure.add_subplot()
        draw_curves(axes, curves, measure)
        dataset, model, seeds = headline(results)
        axes.set_title(f"{dataset}, {model}, {seeds}, {percent(curves.sparsity)} removed", wrap=True)
        axes.set_xlabel("epochs of training, over all phases")
        axes.set_ylabel(f"test {measure.short}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="0.92")
        add_legend(figure, *axes.get_legend_handles_labels())
        return png(figure)
