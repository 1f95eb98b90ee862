"""Style, size and PNG encoding that all figures share."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

WIDTH = 6.0  # inches; a small figure keeps its text readable on a phone
DPI = 192
_LINE = 0.21  # height of one line of a legend, inches
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a method's name may contain a dollar sign
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def png(figure: Figure) -> bytes:
    """Returns the figure as a PNG without metadata, so that equal figures have equal bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    return picture.getvalue()


def add_legend(figure: Figure, handles: list[Any], labels: list[str]) -> None:
    """Adds a legend below the plot, in as many columns as its longest name allows.

    The figure grows by the height of every line after the first, so that the plot keeps its size.
    """
    columns = max(1, min(len(labels), 72 // (8 + max(len(line) for label in labels for line in label.splitlines()))))
    lines = -(-len(labels) // columns) * max(len(label.splitlines()) for label in labels)
    figure.set_figheight(figure.get_figheight() + _LINE * (lines - 1))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
