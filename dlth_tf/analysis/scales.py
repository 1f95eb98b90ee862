"""The axes of the pictures: accuracy by the logarithm of the error, sparsity by the logarithm of what is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, Formatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dlth_tf.analysis.tables import percent

# Accuracies whose errors are 1, 2 and 5 times a power of ten: equally far apart, more or less, on the error's axis.
_ACCURACY_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100)
_WIDE = 3.0  # errors that differ by more than this factor need the logarithm's own ticks
_ROOM = 0.06  # of the axis, on each side of what is drawn
_TINY = 1e-12  # matplotlib asks for places beyond the axis too


def sparsity_position(sparsity: np.ndarray | pd.Series) -> np.ndarray | pd.Series:
    """Where a sparsity stands: 90, 95, 98 and 99 % well apart."""
    return -np.log10(1 - sparsity)


def label_sparsities(axes: Axes, sparsities: np.ndarray) -> None:
    """A tick for every sparsity, and its label where it does not run into the one to its right."""
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
    """Spaces the y axis by the logarithm of the error, so that one seed at chance level leaves room for the others.

    Args:
      axes: whose y axis is in percent.
      accuracies: everything that is drawn, percent, 0 to 100; at least one.
    """
    errors = 100 - np.asarray(accuracies, float)
    found = errors[errors > 0]
    # The logarithm has no place for an error of 0: where there is one, all are taken larger by half of the smallest other, or 1.
    more = 0.0 if len(found) == len(errors) else min(1.0, found.min(initial=2.0) / 2)
    worst, best = errors.max() + more, errors.min() + more
    stretch = max((worst / best) ** _ROOM, 1.03)
    axes.set_yscale(
        "function",
        functions=(lambda y: -np.log10(np.maximum(100 - y + more, _TINY)), lambda height: 100 + more - 10.0**-height),
    )
    axes.set_ylim(100 + more - worst * stretch, 100 + more - best / stretch)
    axes.yaxis.set_major_locator(FixedLocator(_accuracy_ticks(axes, wide=worst / best > _WIDE)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def plain_log_ticks(axis: Axis, low: float, high: float, formatter: Formatter | None = None) -> None:
    """Ticks on a logarithmic axis as plain numbers: powers of ten, with 2 and 5 times them where the values span less than two."""
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter or FuncFormatter(lambda value, _: f"{value:g}"))


def _accuracy_ticks(axes: Axes, wide: bool) -> list[float]:
    """Round accuracies inside the axis, from the top, as far as their labels do not run into each other."""
    bottom, top = axes.get_ylim()
    height = axes.yaxis.get_transform().transform
    room = 0.05 * (height(top) - height(bottom))
    found: list[float] = []
    for tick in sorted(_ACCURACY_TICKS if wide else MaxNLocator(6).tick_values(bottom, top), reverse=True):
        if bottom <= tick <= min(top, 100) and (not found or height(found[-1]) - height(tick) >= room):
            found.append(float(round(tick, 9)))
    return found[::-1]
