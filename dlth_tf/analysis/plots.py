"""Pictures of a sweep, drawn without a display and without pyplot's global state."""

from __future__ import annotations

import io
import itertools
import os
import textwrap

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlth_tf.analysis.results import setting
from dlth_tf.analysis.tables import percent, summary
from dlth_tf.files import write_atomic

# Okabe and Ito's palette for colour-blind readers, without its yellow (too pale on white); black comes first, for the reference
# line. Seven colours and nine markers have no common divisor, so the first 63 methods all look different.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_STYLE = {
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def accuracy_vs_sparsity(results: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Draws test accuracy against sparsity as a PNG: one line per method, the spread over seeds, every seed as a faint dot.

    Sparsities are spaced by the logarithm of what is kept, so that 90, 95, 98 and 99 % stand well apart. A method that never
    removes anything is a dashed horizontal line.

    Args:
      results: what `read_results` gives.
      path: where the picture goes; it appears whole or not at all.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, results)
        bars = "" if results.groupby(["method", "sparsity"]).size().max() == 1 else " (bars: ± one standard deviation)"
        axes.set_title(", ".join(setting(results)) + bars, wrap=True)
        axes.set_xlabel("weights removed")
        axes.set_ylabel("test accuracy after the last epoch, %")
        axes.grid(axis="y", color="0.92")
        figure.legend(*_legend(axes, results), loc="outside right upper")
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=160, metadata={"Software": None})
    write_atomic(path, picture.getvalue())


def _draw(axes: Axes, results: pd.DataFrame) -> None:
    cells = summary(results)
    lines = list(cells.loc[cells["sparsity"] > 0, "method"].unique())
    on_line = cells["method"].isin(lines)
    colours = itertools.cycle(_COLOURS)
    for reference in cells.loc[~on_line].itertuples():
        axes.axhline(100 * reference.test_mean, label=reference.method, color=next(colours), linestyle=(0, (5, 3)), linewidth=1.2)
    sparsities = np.unique(cells.loc[on_line, "sparsity"])
    gap = np.diff(_position(sparsities)).min(initial=0.3)
    for place, (method, marker) in enumerate(zip(lines, itertools.cycle(_MARKERS), strict=False)):
        # Error bars of different methods at one sparsity stand beside each other: on top of each other none can be read.
        shift = 0.35 * gap * ((place + 0.5) / len(lines) - 0.5)
        _draw_line(axes, results.loc[results["method"] == method], shift, next(colours), marker)
    _label_sparsities(axes, sparsities)
    axes.margins(x=0.06)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, -2), min(top, 102))  # a wide error bar reaches beyond what an accuracy can be


def _draw_line(axes: Axes, runs: pd.DataFrame, shift: float, colour: str, marker: str) -> None:
    cells = summary(runs)
    x, y = _position(cells["sparsity"]) + shift, 100 * cells["test_mean"]
    axes.plot(x, y, label=runs["method"].iloc[0], color=colour, marker=marker, linewidth=1.4, markersize=5.5)
    axes.errorbar(x, y, 100 * cells["test_std"].fillna(0), fmt="none", ecolor=colour, elinewidth=1.2, capsize=2)
    seeds = _position(runs["sparsity"]) + shift, 100 * runs["test_accuracy_last"]
    axes.scatter(*seeds, color=colour, s=12, alpha=0.35, linewidths=0, zorder=3)


def _label_sparsities(axes: Axes, sparsities: np.ndarray) -> None:
    """A tick for every sparsity, and its label where it does not run into the one to its right."""
    positions = _position(sparsities)
    room = 0.09 * np.ptp(positions) if len(positions) else 0
    labels: list[str] = []
    last = np.inf
    for position, sparsity in zip(positions[::-1], sparsities[::-1], strict=True):
        fits = last - position >= room
        labels.insert(0, percent(sparsity) if fits else "")
        last = position if fits else last
    axes.set_xticks(positions, labels)


def _legend(axes: Axes, results: pd.DataFrame) -> tuple[list, list[str]]:
    """Handles and labels from top to bottom as the lines end at the right, which is where the eye compares them."""
    ends = summary(results).sort_values("sparsity").groupby("method")["test_mean"].last()
    pairs = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda pair: -ends[pair[1]])
    return [handle for handle, _ in pairs], [textwrap.fill(label, 24) for _, label in pairs]


def _position(sparsity: np.ndarray | pd.Series) -> np.ndarray | pd.Series:
    return -np.log10(1 - sparsity)
