"""Axes of the plots: accuracy and errors on the logarithm of the error, sparsity on the logarithm of the share kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, Formatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dlth_tf.analysis.tables import percent
from dlth_tf.measures import ACCURACY, Measure

# Accuracies whose errors are 1, 2 and 5 times a power of ten: nearly equidistant on the axis of the error.
_ACCURACY_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100)
_LOW_TICKS = (70, 60, 40, 20)  # for an axis that ends between two of them
_WIDE = 3.0  # errors that differ by more than this factor need logarithmic ticks
_ROOM = 0.06  # margin at each end of the axis, as a fraction of the data range
_TINY = 1e-12  # matplotlib transforms values outside the axis too


def sparsity_position(sparsity: np.ndarray | pd.Series) -> np.ndarray | pd.Series:
    """Returns the position of a sparsity on the axis, on which 90, 95, 98 and 99 % are well separated."""
    return -np.log10(1 - sparsity)


def label_sparsities(axes: Axes, sparsities: np.ndarray) -> None:
    """Adds a tick for every sparsity, and its label unless that would overlap with the label to its right."""
    positions = sparsity_position(sparsities)
    room = 0.09 * np.ptp(positions) if len(positions) else 0
    labels: list[str] = []
    last = np.inf
    for position, sparsity in zip(positions[::-1], sparsities[::-1], strict=True):
        fits = last - position >= room
        labels.insert(0, percent(sparsity) if fits else "")
        last = position if fits else last
    axes.set_xticks(positions, labels)


def accuracy_axis(axes: Axes, accuracies: np.ndarray) -> None:
    """Scales the y axis by the logarithm of the error, so that one seed at chance level leaves room for the others.

    Args:
      axes: Axes whose y axis is in percent.
      accuracies: All plotted accuracies in percent, 0 to 100; at least one.
    """
    errors = 100 - np.asarray(accuracies, float)
    nonzero = errors[errors > 0]
    # An error of 0 has no logarithm: if there is one, all errors are shifted by half of the smallest other, or by 1.
    shift = 0.0 if len(nonzero) == len(errors) else min(1.0, nonzero.min(initial=2.0) / 2)
    worst = errors.max() + shift
    best = errors.min() + shift
    stretch = max((worst / best) ** _ROOM, 1.03)
    axes.set_yscale(
        "function",
        functions=(lambda y: -np.log10(np.maximum(100 - y + shift, _TINY)), lambda height: 100 + shift - 10.0**-height),
    )
    axes.set_ylim(100 + shift - worst * stretch, 100 + shift - best / stretch)
    axes.yaxis.set_major_locator(FixedLocator(_accuracy_ticks(axes, wide=worst / best > _WIDE)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def measure_axis(axes: Axes, values: np.ndarray, measure: Measure) -> None:
    """Scales the y axis for a measure: `accuracy_axis`, or the logarithm of an error.

    Args:
      axes: Axes whose y axis is in the unit of tables.
      values: All plotted values; at least one.
      measure: The measure.
    """
    if measure is ACCURACY:
        accuracy_axis(axes, values)
        return
    positive = np.asarray(values, float)[np.asarray(values) > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    stretch = max((high / low) ** _ROOM, 1.03)
    axes.set_yscale("log")
    axes.set_ylim(low / stretch, high * stretch)
    if high / low > _WIDE:
        plain_log_ticks(axes.yaxis, low, high)
        return
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def plain_log_ticks(axis: Axis, low: float, high: float, formatter: Formatter | None = None) -> None:
    """Labels a logarithmic axis with plain numbers: powers of ten, with 2 and 5 times these if it spans less than two.

    Args:
      axis: The axis.
      low: Smallest value on the axis, above 0.
      high: Largest value on the axis.
      formatter: Formatter of the labels; "%g" by default.
    """
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter or FuncFormatter(lambda value, _: f"{value:g}"))


def _accuracy_ticks(axes: Axes, wide: bool) -> list[float]:
    """Returns round accuracies on the axis, selected from the top so that their labels do not overlap."""
    bottom, top = axes.get_ylim()
    height = axes.yaxis.get_transform().transform
    room = 0.05 * (height(top) - height(bottom))
    ticks: list[float] = []
    chosen = sorted(_ACCURACY_TICKS if wide else MaxNLocator(6).tick_values(bottom, top), reverse=True)
    shown = [tick for tick in chosen if bottom <= tick <= top] or [100]
    beyond = [tick for tick in _LOW_TICKS if tick < min(shown) or tick > max(shown)]
    for tick in sorted({*chosen, *beyond}, reverse=True):
        if bottom <= tick <= min(top, 100) and (not ticks or height(ticks[-1]) - height(tick) >= room):
            ticks.append(float(round(tick, 9)))
    return ticks[::-1]
