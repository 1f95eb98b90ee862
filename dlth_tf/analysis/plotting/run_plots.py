"""Plots of one run: magnitudes, penalty and accuracy or error over time, and masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlth_tf.analysis.plotting.figures import STYLE, WIDTH, png
from dlth_tf.analysis.plotting.scales import measure_axis, plain_log_ticks
from dlth_tf.analysis.run_record import MAGNITUDES, RunRecord
from dlth_tf.analysis.tables import percent

_KEPT = "#0072B2"
_REMOVED = "#D55E00"
_PENALTY = "#009E73"
_MOST_TENSORS = 4
_MOST_ROWS = 64  # single weights are still visible in a corner of this size
_MOST_COLUMNS = 256


@dataclass(frozen=True)
class _Panel:
    height: float  # inches
    draw: Callable[[Axes, RunRecord], None]


def weights_over_time(record: RunRecord) -> bytes:
    """Plots mean magnitudes, penalty and accuracy over the steps of a run as a PNG; panels without data are omitted."""
    rows = record.history
    panels = [_Panel(2.4, _draw_accuracy)]
    if (rows["penalty"] > 0).any():
        panels.insert(0, _Panel(1.5, _draw_penalty))
    if record.has_magnitudes and rows[list(MAGNITUDES)].gt(0).any(axis=None):
        panels.insert(0, _Panel(2.6, _draw_magnitudes))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.5 + sum(panel.height for panel in panels)), layout="constrained")
        ratios = [panel.height for panel in panels]
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        for place, panel in zip(axes, panels, strict=True):
            panel.draw(place, record)
            place.grid(axis="y", color="0.92")
            if place.get_legend_handles_labels()[0]:
                place.legend(loc="best", fontsize="small")
            _draw_phases(place, record, named=place is axes[0])
        axes[-1].set_xlim(0, 1.01 * record.history["total_step"].iloc[-1])
        axes[-1].set_xlabel("steps, over all phases")
        return png(figure)


def mask_pictures(record: RunRecord) -> bytes | None:
    """Draws the masks of the first pruned tensors as a PNG, with a column per output unit and kept weights dark.

    Returns:
      The PNG; None if nothing is removed.
    """
    pruned = [(name, mask) for name, mask in record.ticket.items() if mask.ndim and mask.size and not mask.all()]
    pruned = pruned[:_MOST_TENSORS]
    if not pruned:
        return None
    corners = [mask.reshape(-1, mask.shape[-1])[:_MOST_ROWS, :_MOST_COLUMNS] for _, mask in pruned]
    heights = [max(0.35, 0.9 * WIDTH * min(1.0, corner.shape[0] / corner.shape[1])) for corner in corners]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.55 * len(heights)), layout="constrained")
        axes = figure.subplots(len(pruned), 1, squeeze=False, height_ratios=heights)[:, 0]
        for place, (name, mask), corner in zip(axes, pruned, corners, strict=True):
            place.imshow(corner, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
            place.set_title(_mask_title(name, mask, corner), wrap=True)
            place.spines[:].set(visible=True, color="0.75")
            place.set_xticks([])
            place.set_yticks([])
        return png(figure)


def _draw_magnitudes(axes: Axes, record: RunRecord) -> None:
    for column, label, color in zip(MAGNITUDES, ("kept", "to be removed"), (_KEPT, _REMOVED), strict=True):
        values = record.history[column]
        values = values.where(values > 0)  # removed weights are 0, which a logarithmic axis cannot show
        if values.notna().any():
            axes.plot(record.history["total_step"], values, color=color, label=label)
    values = record.history[list(MAGNITUDES)].to_numpy()
    values = values[values > 0]
    axes.set_yscale("log")
    plain_log_ticks(axes.yaxis, values.min(), values.max())
    axes.set_ylabel("mean |w|")


def _draw_penalty(axes: Axes, record: RunRecord) -> None:
    axes.step(record.history["total_step"], record.history["penalty"], where="pre", color=_PENALTY, label="penalty λ")
    axes.set_ylabel("λ")
    axes.set_ylim(bottom=0)


def _draw_accuracy(axes: Axes, record: RunRecord) -> None:
    rows = record.history
    measure = record.measure
    drawn = []
    for column, color in ((f"val_{measure.name}", _REMOVED), (f"test_{measure.name}", _KEPT)):
        if rows[column].notna().any():
            axes.plot(
                rows["total_step"],
                measure.shown(rows[column]),
                color=color,
                linewidth=1,
                label=column.removesuffix(f"_{measure.name}"),
            )
            drawn.append(measure.shown(rows[column].dropna()))
    before, after = (record.result[f"{measure.name}_{when}_removal"] for when in ("before", "after"))
    if not math.isnan(record.removal_step) and not math.isnan(before) and not math.isnan(after):
        for value, label, face in ((before, "test, before removal", "white"), (after, "test, after it", _KEPT)):
            axes.plot(
                record.removal_step,
                measure.shown(value),
                "o",
                color=_KEPT,
                markerfacecolor=face,
                label=label,
                zorder=4,
                clip_on=False,
            )
            drawn.append([measure.shown(value)])
    measure_axis(axes, np.concatenate(drawn) if drawn else np.array([0.0, 100.0]), measure)
    axes.set_ylabel(measure.short)


def _draw_phases(axes: Axes, record: RunRecord, named: bool) -> None:
    phases = record.history["phase"]
    ends = record.history.loc[phases.ne(phases.shift(-1)), ["phase", "total_step"]]
    total = float(record.history["total_step"].iloc[-1])
    begin = 0.0
    for phase, end in ends.itertuples(index=False):
        if end < total:
            axes.axvline(end, color="0.6", linewidth=0.8, linestyle=(0, (4, 3)))
        if named and end - begin > 0.08 * total:  # a shorter phase has no room for its name
            axes.annotate(
                phase, ((begin + end) / 2, 1.02), xycoords=("data", "axes fraction"), ha="center", color="0.35"
            )
        begin = end


def _mask_title(name: str, mask: np.ndarray, corner: np.ndarray) -> str:
    cut = "" if corner.size == mask.size else f"; {corner.shape[0]} × {corner.shape[1]} of it"
    return f"{name}, {' × '.join(map(str, mask.shape))}: {percent(round(1 - mask.mean(), 4))} removed{cut}"
